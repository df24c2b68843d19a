# SPDX-License-Identifier: Apache-2.0
"""Checks an exported policy: in an episode it must act as the policy that it was made from."""

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from motrix_gym import Policy
from rl_zoo.environments import make_env
from rl_zoo.errors import ZooError
from rl_zoo.exporting import contract as contracts
from rl_zoo.exporting.c_source import SOURCE
from rl_zoo.exporting.signature import Signature, newest, signature
from rl_zoo.hints import missing
from rl_zoo.policies import check_fits

ONNX_FILE = "policy.onnx"
TOLERANCE = 1e-5  # of an entry of an action
STEPS = 1000  # of an episode that has no time limit

Step = Callable[[np.ndarray, bool], tuple[np.ndarray, np.ndarray | None]]
"""A step of an exported policy: observation (frame,) and whether an episode starts -> action and
target (act,); the target is None if the task has none."""


def check(folder: Path) -> dict[str, float]:
    """Runs an exported policy beside the policy that it was made from, through a whole episode.

    Args:
        folder: What `motrix export` has written.

    Returns:
        For each file that could be run, the largest difference of an action.

    Raises:
        ZooError: A file is missing or was changed, or none can be run here, or an action differs by
            more than 1e-5.
    """
    given = contracts.read(folder / contracts.FILE)
    for name, digest in given["files"].items():
        path = folder / name
        if not path.is_file():
            raise ZooError(f"{path} is missing: export the policy anew")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ZooError(f"{path} was changed: its SHA-256 is not the contract's")
    policy = Policy.load(folder)
    with tempfile.TemporaryDirectory() as building:
        form = signature(policy)
        steps = dict(_runnable(folder, given["files"], policy, form, Path(building)))
        if not steps:
            raise ZooError(f"nothing can run {folder}: {missing('onnxruntime', 'export')}")
        found = {name: 0.0 for name in steps}
        for observation, start, action in _episode(policy, given["origin"]["env_id"]):
            for name, step in steps.items():
                own, target = step(observation, start)
                differences = [abs(own - action).max()]
                if form.target is not None and target is not None:
                    differences.append(abs(target - form.target(action)).max())
                found[name] = max(found[name], float(max(differences)))
    for name, difference in found.items():
        if not difference <= TOLERANCE:
            raise ZooError(
                f"{folder / name} acts differently: an action differs by {difference:.2g}, and "
                f"{TOLERANCE:g} is allowed"
            )
    return found


def _episode(policy: Policy, env_id: str) -> Iterator[tuple[np.ndarray, bool, np.ndarray]]:
    """Yields the frame, whether the episode starts, and the policy's action, of each step."""
    env = make_env(env_id, {}, 1, 1)
    try:
        check_fits(policy, env, env_id)
        act, observations = policy.actor(), env.reset(seed=0)[0]
        for step in range(env.config.max_episode_steps or STEPS):
            actions = act(observations, np.array([step == 0]))
            yield newest(policy, observations)[0], step == 0, actions[0]
            observations, _, terminated, truncated, _ = env.step(actions)
            if terminated[0] or truncated[0]:
                return
    finally:
        env.close()


def _runnable(
    folder: Path, files: dict[str, Any], policy: Policy, form: Signature, building: Path
) -> Iterator[tuple[str, Step]]:
    """Yields the exported files that can be run here, and their step."""
    if ONNX_FILE in files:
        try:
            import onnxruntime
        except ModuleNotFoundError:
            pass
        else:
            yield ONNX_FILE, _onnx_step(onnxruntime, folder / ONNX_FILE, form)
    compiler = shutil.which("cc")
    if SOURCE in files and compiler:
        yield SOURCE, _c_step(compiler, folder, building, policy, form)


def _onnx_step(onnxruntime: Any, path: Path, form: Signature) -> Step:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    memory = {name: np.zeros((1, *shape), np.float32) for name, shape in form.memory.items()}

    def step(observation: np.ndarray, start: bool) -> tuple[np.ndarray, np.ndarray | None]:
        given: dict[str, np.ndarray] = {"observation": observation[None].astype(np.float32)}
        if memory:
            given |= {"start": np.array([start]), **memory}
        results = dict(zip(names, session.run(None, given), strict=True))
        memory.update({name: results[f"{name}_next"] for name in memory})
        target = results["target"][0] if "target" in results else None
        return results["action"][0], target

    return step


def _c_step(compiler: str, folder: Path, building: Path, policy: Policy, form: Signature) -> Step:
    library = building / "policy.so"
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command = [compiler, *flags, "-I", str(folder), str(folder / SOURCE), "-lm", "-o", str(library)]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise ZooError(f"{folder / SOURCE} does not compile: {built.stderr.strip()}")
    functions = ctypes.CDLL(str(library))
    # One int and floats, all of 4 bytes: `policy_memory`.
    words = 1 + sum(int(np.prod(shape)) for shape in form.memory.values())
    memory = (ctypes.c_int32 * words)()
    floats = ctypes.c_float * policy.action_size

    def step(observation: np.ndarray, start: bool) -> tuple[np.ndarray, np.ndarray | None]:
        if start:
            functions.policy_reset(memory)
        seen = (ctypes.c_float * form.frame)(*observation.tolist())
        action, target = floats(), floats()
        functions.policy_step(memory, seen, action, *([target] if form.target else []))
        return np.array(action), np.array(target) if form.target else None

    return step
