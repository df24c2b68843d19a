# SPDX-License-Identifier: Apache-2.0
"""What a training needs of its environment, and the messages where that is missing."""

from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv

from adapters.algorithm_config import AlgorithmConfig, FieldError
from motrix_gym import Mirror


def check_env(env: VectorEnv, config: AlgorithmConfig, wanted: AutoresetMode) -> None:
    """Raises ValueError if a trainer cannot learn on this environment with this configuration."""
    if config.seed is None:
        raise ValueError("config.seed is None: a trainer needs an int, config.replace(seed=...)")
    if env.num_envs != config.num_envs:
        raise ValueError(
            f"the environment has {env.num_envs} rows, config.num_envs={config.num_envs}"
        )
    mode = env.metadata.get("autoreset_mode")
    if mode != wanted:
        raise ValueError(f"autoreset_mode is {mode}: this trainer needs {wanted}")
    spaces = {"observation": env.single_observation_space, "action": env.single_action_space}
    for name, space in spaces.items():
        if not (isinstance(space, Box) and len(space.shape) == 1):
            raise ValueError(
                f"the {name} space is {space}: trainers need a Box of one dimension, whatever the "
                "algorithm"
            )


def find_mirror(env: VectorEnv) -> Mirror:
    """Returns the mirror of an environment's task; raises FieldError if it has none."""
    mirror = getattr(getattr(env.unwrapped, "task", None), "mirror", None)
    if mirror is None:
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        raise FieldError(
            "symmetry_augmentation",
            f"symmetry_augmentation=True: {name} has no mirror (`Task.mirror`); leave it at False",
        )
    return mirror


def find_time_limit(env: VectorEnv) -> int:
    """Returns an environment's `config.max_episode_steps`; raises FieldError if there is none."""
    config = getattr(env.unwrapped, "config", None)
    limit = getattr(config, "max_episode_steps", None)
    if limit is None:
        name = env.spec.id if env.spec else type(env.unwrapped).__name__
        says = "has no" if hasattr(config, "max_episode_steps") else "does not say its"
        message = f"stagger_episodes=True: {name} {says} time limit; leave it at False"
        raise FieldError("stagger_episodes", message)
    return limit
