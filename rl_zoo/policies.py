# SPDX-License-Identifier: Apache-2.0
"""Shipped policies, and the check that a policy fits an environment."""

from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo.errors import ZooError

if TYPE_CHECKING:
    from adapters import Policy
    from motrix_gym import MotrixVectorEnv

PRETRAINED = Path(__file__).with_name("pretrained")


def pretrained(env_id: str) -> "Policy | None":
    """Returns the policy that is shipped for an environment; None if there is none."""
    from adapters import Policy
    from rl_zoo.config import env_name

    folder = PRETRAINED / env_name(env_id)
    if not (folder / "policy.json").is_file():
        return None
    policy = Policy.load(folder)
    return policy if policy.metadata.get("env_id") == env_id else None


def check_fits(policy: "Policy", env: "MotrixVectorEnv", env_id: str) -> None:
    """Raises ZooError if a policy does not fit an environment.

    The sizes of observation and action must be equal, without privileged channels.
    """
    from adapters.requirements import privileged_names

    sizes = (policy.observation_size, policy.action_size)
    wanted = (env.single_observation_space.shape[0], env.single_action_space.shape[0])  # pyright: ignore
    if privileged := privileged_names(env.channels):
        raise ZooError(
            f"observations of {env_id} hold the privileged channels {privileged}, which a policy "
            "must not see: make the environment without privileged=True"
        )
    if sizes != wanted:
        raise ZooError(
            f"the policy turns {sizes[0]} observations into {sizes[1]} actions, {env_id} has "
            f"{wanted[0]} and {wanted[1]}: it is of {policy.metadata.get('env_id', 'another task')}"
        )
