# SPDX-License-Identifier: Apache-2.0
"""Records what the environments, policies and trainers compute, to compare later code with it.

A change of structure must not change a result. On one machine that can be checked bit by bit:

    python tests/reference/recording.py digests before.json
    ... change the code ...
    python tests/reference/recording.py digests after.json --against before.json

Another processor rounds otherwise, so the repository holds what can be compared with a tolerance
anywhere (``test_recorded.py``): single steps from recorded states, actions of the shipped policies,
and the effect of one update of each trainer. For an id that has none they are written by

    python tests/reference/recording.py record

Where results are meant to change, which needs a new version of the id, remove the old files first.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

import gymnasium
import numpy as np

from adapters import TRAINERS, Policy, load_trainer
from motrix_gym import list_envs
from rl_zoo import config
from rl_zoo.config import env_name
from rl_zoo.policies import PRETRAINED, pretrained

FOLDER = Path(__file__).parent / "recorded"
STEPS = 200
NUM_ENVS = 8
SEED = 11
# Every trainer's tiny training is of this id; those of PPO also of Go1, with symmetry and noise.
ALGORITHM_ENV = "Motrix/ReacherEasy-v0"
PPO_ENV = "Motrix/Go1-v0"
OFF_POLICY = ("sac", "td3", "tqc", "crossq")


def actions(size: int) -> np.ndarray:
    """(STEPS, NUM_ENVS, size) seeded actions: large and small, beyond the box too."""
    generator = np.random.default_rng(SEED)
    scale = generator.uniform(0, 1.5, (STEPS, NUM_ENVS, 1))
    return (scale * generator.uniform(-1, 1, (STEPS, NUM_ENVS, size))).astype(np.float32)


def make(env_id: str, num_envs: int = NUM_ENVS, **settings):
    return gymnasium.make_vec(env_id, num_envs=num_envs, num_threads=1, **settings)


def flat(tree: dict, prefix: str = "") -> dict[str, np.ndarray]:
    """The arrays of nested dicts, by path."""
    arrays = {}
    for name, value in sorted(tree.items()):
        inner = isinstance(value, dict)
        arrays |= flat(value, f"{prefix}{name}/") if inner else {f"{prefix}{name}": value}
    return arrays


def outputs(step: tuple) -> dict[str, np.ndarray]:
    """What ``step`` returns, by name."""
    names = ("observation", "reward", "terminated", "truncated")
    return flat(dict(zip(names, step[:4], strict=True)) | {"info": step[4]})


def trajectory_digest(env_id: str) -> str:
    """SHA-256 of all that STEPS steps return, with episodes of 60 steps, so that rows reset."""
    env = make(env_id, max_episode_steps=60)
    observation, _ = env.reset(seed=SEED)
    digest = hashlib.sha256(observation.tobytes())
    for action in actions(env.single_action_space.shape[0]):
        for name, array in outputs(env.step(action)).items():
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def transitions(env_id: str) -> dict[str, np.ndarray]:
    """Some states of a trajectory, the action in each, and what the step returned, by name."""
    env = make(env_id)
    arrays = {"reset": env.reset(seed=SEED)[0]}
    for i, action in enumerate(actions(env.single_action_space.shape[0])):
        kept = i % 40 == 7
        before = env.unwrapped.snapshot() if kept else {}
        step = env.step(action)
        if kept:
            parts = {"before": before, "after": outputs(step)}
            arrays |= flat({str(i): parts | {"action": action}})
    return arrays


def policy_actions(env_id: str, policy: Policy) -> dict[str, np.ndarray]:
    """Observations of an environment, step by step, and the policy's deterministic actions."""
    env, act = make(env_id), policy.actor()
    observation, starts = env.reset(seed=SEED)[0], np.ones(NUM_ENVS, bool)
    seen, taken = [], []
    for _ in range(21):
        seen.append(observation)
        taken.append(act(observation, starts))
        observation, _, terminated, truncated, _ = env.step(taken[-1])
        starts = terminated | truncated
        assert not starts.any()  # `acted` takes all to be of one episode
    return {"observation": np.concatenate(seen), "action": np.concatenate(taken)}


def acted(policy: Policy, observations: np.ndarray) -> np.ndarray:
    """The actions (steps * NUM_ENVS, act) for the observations of `policy_actions`."""
    act, starts = policy.actor(), np.ones(NUM_ENVS, bool)
    taken = []
    for observation in np.split(observations, len(observations) // NUM_ENVS):
        taken.append(act(observation, starts))
        starts = np.zeros(NUM_ENVS, bool)
    return np.concatenate(taken)


def trainings() -> list[tuple[str, str, str]]:
    """(trainer, algorithm, id) of every tiny training."""
    every = [(name, algo, ALGORITHM_ENV) for name in TRAINERS for algo in TRAINERS[name].classes]
    return every + [(name, "ppo", PPO_ENV) for name in TRAINERS]


def train(trainer: str, algo: str, env_id: str, updates: int):
    """The trainer of a tiny training, after each of its updates."""
    small = {"num_envs": 32, "seed": 3}
    if algo in OFF_POLICY:
        small |= {"learning_starts": 64, "batch_size": 32, "buffer_size": 2048}
    elif algo == "distill":
        small |= {"teacher": str(PRETRAINED / env_name(env_id)), "rollouts": 16}
    elif algo != "ars":
        small |= {"rollouts": 16, "mini_batches": 2}
        small |= {} if algo == "trpo" else {"learning_epochs": 2}
    small |= {"max_env_steps": 2**20, "check_point_interval": 64}
    settings = config.load(env_id, algo, trainer, **small)
    cls = load_trainer(trainer, algo)
    shortened = dict(getattr(settings, "training_env", None) or {}) | {"max_episode_steps": 20}
    env = make(env_id, 32, autoreset_mode=cls.autoreset_mode, **shortened)
    instance = cls(env, settings)
    yield instance
    for _ in range(updates):
        instance.update()
        yield instance


def training_digest(trainer: str, algo: str, env_id: str) -> str:
    """SHA-256 of the policy after some updates."""
    *_, last = train(trainer, algo, env_id, 8 if algo in OFF_POLICY else 3)
    digest = hashlib.sha256()
    for name, array in sorted(last.policy().arrays().items()):
        digest.update(name.encode() + array.tobytes())
    return digest.hexdigest()


def update_effect(trainer: str, env_id: str, observation: np.ndarray) -> dict[str, np.ndarray]:
    """The policy's means for observations before and after the first update of PPO."""
    before, after = (t.policy().mean(observation) for t in train(trainer, "ppo", env_id, 1))
    return {"before": before, "after": after}


def digests() -> dict[str, str]:
    """Digests of everything, which hold on this machine only."""
    found = {env_id: trajectory_digest(env_id) for env_id in list_envs()}
    for trainer, algo, env_id in trainings():
        found[f"{trainer} {algo} {env_id}"] = training_digest(trainer, algo, env_id)
    return found


def record() -> None:
    """Write what the tests compare with, where it is not there."""
    FOLDER.mkdir(exist_ok=True)
    for env_id in list_envs():
        name = env_name(env_id)
        write(name, lambda env_id=env_id: transitions(env_id))
        if (policy := pretrained(env_id)) is not None:
            write(f"{name}-policy", lambda args=(env_id, policy): policy_actions(*args))
    policy = Policy.load(PRETRAINED / env_name(PPO_ENV))
    observation = policy_actions(PPO_ENV, policy)["observation"]
    for trainer in TRAINERS:
        write(trainer, lambda name=trainer: update_effect(name, PPO_ENV, observation))


def write(name: str, make_arrays) -> None:
    path = FOLDER / f"{name}.npz"
    if not path.exists():
        np.savez_compressed(path, **make_arrays())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["digests", "record"])
    parser.add_argument("file", nargs="?", help="where the digests are written")
    parser.add_argument("--against", metavar="FILE", help="earlier digests; 1 if any differs")
    arguments = parser.parse_args()
    if arguments.what == "record":
        record()
        return 0
    if not arguments.file:
        parser.error("digests needs a file")
    found = digests()
    Path(arguments.file).write_text(json.dumps(found, indent=1))
    if not arguments.against:
        return 0
    earlier = json.loads(Path(arguments.against).read_text())
    differing = [name for name in earlier if found.get(name) != earlier[name]]
    print("\n".join(f"differs: {name}" for name in differing) or "all the same")
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main())
