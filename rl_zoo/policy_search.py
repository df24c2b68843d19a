# SPDX-License-Identifier: Apache-2.0
"""Finding a policy: of a run, in a folder, in another library's file, or shipped."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters import AlgorithmConfig, Policy
from motrix_gym.names import did_you_mean, shown
from rl_zoo import config, policies
from rl_zoo.environments import DEFAULT_ENV, env_of, env_of_run, find_env, make_env
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.runs import MANIFEST, Run, RunError, find_newest


@dataclass(frozen=True)
class Found:
    """A policy and where it was found.

    Attributes:
        env_id: The environment that it is for.
        settings: Task settings that it was trained with, by dotted name.
        policy: The policy.
        run: Its run, if it is of one.
        label: A phrase for the user.
        folder: Where the policy's evaluation would lie: of a run, or of its two files.
    """

    env_id: str
    settings: dict[str, Any]
    policy: Policy
    run: Run | None
    label: str
    folder: Path | None = None


def find_policy(
    env: str | None = None,
    *,
    run: Path | None = None,
    policy: Path | None = None,
    allow_pickle: bool = False,
    run_dir: Path = Path("runs"),
) -> Found:
    """Finds a policy: by default, the best one of the environment's newest run.

    Args:
        env: An id, or "module:id"; by default that of the run or policy, else the cart-pole.
        run: A run's folder, whose best policy is meant.
        policy: "pretrained", an id that has a shipped policy, a policy's folder, or another
            library's file.
        allow_pickle: Read other libraries' files, which can hide code.
        run_dir: The folder of all runs.

    Raises:
        RunError, PolicyError: The policy is missing, damaged, or of another environment.
        UsageError: It is in another library's file, and `allow_pickle` or `env` is missing.
        ZooError: There is no such file or folder, or the environment is not registered.
    """
    from adapters.foreign import KINDS

    wanted = find_env(env) if env else None
    if str(policy) == "pretrained":
        env_id = wanted or DEFAULT_ENV
        shipped = policies.pretrained(env_id)
        if shipped is None:
            raise UsageError(f"no policy of {env_id} is shipped")
        return Found(env_id, {}, shipped, None, "the pretrained policy", _of_shipped(env_id))
    if policy and os.path.isfile(policy):
        return _foreign(policy, wanted, allow_pickle)
    if policy:
        if os.path.isfile(policy / MANIFEST):
            raise UsageError(f"{policy} is a run: --run {policy}")
        folder = _shipped(str(policy)) or policy
        if not folder.is_dir():
            what = "file" if policy.suffix in KINDS else "folder"
            hint = did_you_mean(str(policy), ("pretrained", *_shipped_names()))
            raise ZooError(f"--policy: there is no {what} {shown(str(policy))}{hint}")
        loaded = Policy.load(folder)
        env_id = wanted or loaded.metadata.get("env_id")
        if not isinstance(env_id, str):
            raise UsageError(f"{policy} does not say its environment: give --env")
        return Found(env_of(env_id, policy), {}, loaded, None, str(policy), folder)

    if run is None:
        env_id = wanted or DEFAULT_ENV
        try:
            run = find_newest(run_dir, env_id)
        except RunError as error:
            shipped = policies.pretrained(env_id)
            if shipped is None:
                raise
            reason = str(error).removesuffix(": train one first")
            label = f"the pretrained policy, as there is {reason}"
            return Found(env_id, {}, shipped, None, label, _of_shipped(env_id))
    opened = Run.open(run, env_id=wanted)
    manifest = opened.manifest()
    best = opened.policy("best")
    label = f"the best policy of {run} ({manifest['best']['steps']:,} steps)"
    return Found(env_of_run(manifest, run), manifest["env_config"], best, opened, label, run)


def _foreign(path: Path, env_id: str | None, allowed: bool) -> Found:
    """Returns the policy of another library's file; reads nothing of it unless that is allowed."""
    from adapters.foreign import KINDS, load_foreign

    if path.suffix not in KINDS:
        kinds = ", ".join(f"{suffix} ({what})" for suffix, (_, what) in KINDS.items())
        raise UsageError(
            f"--policy {path} is a file: name the folder of policy.safetensors and policy.json, or "
            f"a file of another library: {kinds}"
        )
    trainer, what = KINDS[path.suffix]
    if not allowed:
        raise UsageError(
            f"{path} is {what}: such files can hide code that runs when they are read. If you "
            "trust where it comes from, add --allow-pickle"
        )
    if env_id is None:
        raise UsageError(f"{path} does not say its environment: give --env")
    activation = config.load(env_id, trainer=trainer).activation
    env = make_env(env_id, {}, 1)
    try:
        policy = load_foreign(path, env, activation)
    finally:
        env.close()
    normaliser = "with" if policy.observation_clip < math.inf else "without"
    source = "" if trainer == "sb3" else f" as in the settings of {env_id}, which it does not say"
    label = f"{path}, {what} {normaliser} a normaliser; activation {policy.activation}{source}"
    return Found(env_id, {}, policy, None, label)


def with_policies_found(settings: AlgorithmConfig) -> AlgorithmConfig:
    """Returns an algorithm's settings with the folders of the stored policies that they name.

    `initial_policy` and `teacher` may name a shipped policy, an id that has one, a policy's folder,
    or a run's folder, for its best policy.

    Raises:
        ZooError: there is no such policy.
    """
    found = {
        setting: _folder(setting, name)
        for setting in ("initial_policy", "teacher")
        if (name := getattr(settings, setting, None))
    }
    return settings.replace(**found) if found else settings


def _folder(setting: str, name: str) -> str:
    """Returns the folder of the policy that a setting names."""
    if shipped := _shipped(name):
        return str(shipped)
    if os.path.isfile(os.path.join(name, MANIFEST)):
        return os.path.abspath(Run.open(name).policy_folder())
    if not os.path.isdir(name):
        names = _shipped_names()
        message = f"is neither a folder nor a shipped policy{did_you_mean(name, names)}"
        raise UsageError(f"{setting}={name!r} {message}; those are: {', '.join(names)}")
    return os.path.abspath(name)


def _shipped(name: str) -> Path | None:
    """Returns the folder of a shipped policy, by its environment's id; None if there is none."""
    short = name.removeprefix("Motrix/")
    return policies.PRETRAINED / short if short in _shipped_names() else None


def _of_shipped(env_id: str) -> Path:
    """Returns the folder of the policy that is shipped for an environment."""
    return policies.PRETRAINED / config.env_name(env_id)


def _shipped_names() -> list[str]:
    return sorted(path.parent.name for path in policies.PRETRAINED.glob("*/policy.json"))
