# SPDX-License-Identifier: Apache-2.0
"""Environment steps per second: ours, the bare physics, Gymnasium's, EnvPool's and MotrixSim's.

Contestants run blocks of about a tenth of a second in turn, in one process, with random actions or
those of the shipped policy. Ours and the bare batch start every single step from the same states,
controls and model fields, recorded beforehand in a run of the environment, resets and all; so both
do the same physics, and their ratio says what share of the time the physics takes. The others make
steps of their own, from 60 steps after a reset on.
"""

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol
from xml.etree import ElementTree

import gymnasium
import numpy as np
from mujoco.batch import Batch

import motrix_gym  # noqa: F401, registers the environments
from motrix_gym import registration
from motrix_gym.names import one_line
from rl_zoo.policy_search import find_policy
from rl_zoo.provenance import machine

WARM_UP = 60  # steps before the recorded ones, after which episodes end at all times
BLOCK = 0.15  # seconds, about
MOST_STEPS = 50  # of a block
FEW = 16  # environments in Gymnasium's own vector environments, which take one process each
OURS, BARE, SYNC, ASYNC = "motrix", "bare physics", "gymnasium sync", "gymnasium async"
ENVPOOL, MOTRIXSIM = "envpool", "motrixsim physics"
# EnvPool's environments of the same tasks, with as many physics steps per action.
ENVPOOLS = {
    "Motrix/Go1-v0": "Go1JoystickFlatTerrain-v1",
    "Motrix/Go1Rough-v0": "Go1JoystickRoughTerrain-v1",
    "Motrix/FrankaLift-v0": "PandaPickCube-v1",
    "Motrix/FrankaCabinet-v0": "PandaOpenCabinet-v1",
    **{
        f"Motrix/{name}-v0": f"{name}-v1"
        for name in "CheetahRun HopperHop HopperStand ReacherEasy ReacherHard".split()
        + "WalkerRun WalkerStand WalkerWalk".split()
    },
}

Times = tuple[float, float]  # of the wall clock and of the processor, in seconds


class Contestant(Protocol):
    """What can run a block; `made` is how many environment steps that makes."""

    made: int

    def run(self) -> Times:
        """Runs a block and returns what it took."""
        ...

    def close(self) -> None:
        """Gives back what it holds."""


class Ours:
    """Blocks of the same steps through the environment.

    Args:
        env_id: The environment.
        num_envs: Environments side by side.
        steps: Of a block; None takes as many as last about a tenth of a second.
        num_threads: Threads for the physics; 0: all cores.
        pretrained: Whether the shipped policy acts.
    """

    def __init__(
        self,
        env_id: str,
        num_envs: int,
        *,
        steps: int | None = None,
        num_threads: int = 0,
        pretrained: bool = False,
    ):
        self.env: Any = gymnasium.make_vec(env_id, num_envs=num_envs, num_threads=num_threads)
        self.base, self.num_threads = self.env.unwrapped, num_threads
        shipped = find_policy(env_id, policy=Path("pretrained")).policy if pretrained else None
        act = shipped.actor() if shipped else None
        stream = np.random.default_rng(0)
        observations, _ = self.env.reset(seed=0)
        starts = np.ones(num_envs, bool)

        def advance() -> np.ndarray:
            """Makes a step; returns its actions."""
            nonlocal observations, starts
            if act is None:
                actions = stream.uniform(-1, 1, self.env.action_space.shape).astype(np.float32)
            else:
                actions = act(observations, starts)
            observations, _, terminated, truncated, _ = self.env.step(actions)
            starts = terminated | truncated
            return actions

        for _ in range(WARM_UP):
            began = time.perf_counter()
            advance()
        self.steps = steps or block_steps(time.perf_counter() - began)
        self.made = self.steps * num_envs
        self._start = self.base.snapshot()
        simulation = self.base.simulation
        self.recorded: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []
        step = simulation.step

        def recording(*args: Any) -> Any:
            fields = {name: simulation.fields[name].copy() for name in simulation.per_world}
            self.recorded.append((simulation.batch.state.copy(), fields))
            return step(*args)

        simulation.step = recording
        self._actions = [advance() for _ in range(self.steps)]
        del simulation.step
        self._end = simulation.batch.state.copy()

    def run(self) -> Times:
        """Runs a block, which ends where the recorded one did."""
        self.base.restore(self._start)
        cpu, wall = time.process_time(), time.perf_counter()
        for action in self._actions:
            self.env.step(action)
        taken = time.perf_counter() - wall, time.process_time() - cpu
        assert (self.base.simulation.batch.state == self._end).all()
        return taken

    def close(self) -> None:
        """Closes the environment."""
        self.env.close()


class Bare:
    """Blocks of the bare batch's steps from the states of `Ours`; what sets them is not timed."""

    def __init__(self, ours: Ours):
        base = ours.base
        self._batch = Batch(base.model, base.num_envs, ours.num_threads)
        self._fields = {name: self._batch.expand(name) for name in base.simulation.per_world}
        self._recorded, self._substeps, self.made = ours.recorded, base.substeps, ours.made

    def run(self) -> Times:
        """Runs a block."""
        seconds = cpu_seconds = 0.0
        for state, fields in self._recorded:
            self._batch.state[...] = state
            for name, value in fields.items():
                self._fields[name][...] = value
            cpu, wall = time.process_time(), time.perf_counter()
            self._batch.step(nstep=self._substeps)
            seconds += time.perf_counter() - wall
            cpu_seconds += time.process_time() - cpu
        return seconds, cpu_seconds

    def close(self) -> None:
        """Has nothing to give back."""


class Stepped:
    """Blocks of steps of another vector environment, with random actions.

    Args:
        env: A vector environment.
        num_envs: Its environments.
        steps: Of a block; None takes as many as last about a tenth of a second.
    """

    def __init__(self, env: Any, num_envs: int, steps: int | None = None):
        self._env = env
        single = getattr(env, "single_action_space", env.action_space)  # EnvPool has no other
        shape = (MOST_STEPS, num_envs, *single.shape)
        self._actions = np.random.default_rng(0).uniform(-1, 1, shape).astype(single.dtype)
        env.reset()
        for step in range(WARM_UP):
            began = time.perf_counter()
            env.step(self._actions[step % MOST_STEPS])
        self._actions = self._actions[: steps or block_steps(time.perf_counter() - began)]
        self.made = len(self._actions) * num_envs

    def run(self) -> Times:
        """Runs a block."""
        cpu, wall = time.process_time(), time.perf_counter()
        for action in self._actions:
            self._env.step(action)
        return time.perf_counter() - wall, time.process_time() - cpu

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()


class MotrixSim:
    """Blocks of MotrixSim's bare physics on the same model: a batch, as many substeps, no control.

    Args:
        env_id: The environment.
        num_envs: Simulations side by side.
        substeps: Physics steps per environment step.
        steps: Of a block; None takes as many as last about a tenth of a second.
    """

    def __init__(self, env_id: str, num_envs: int, substeps: int, steps: int | None = None):
        import motrixsim  # pyright: ignore[reportMissingImports]

        self._sim: Any = motrixsim
        self._model = motrixsim.load_mjcf_str(_physics_alone(env_id))
        self._data = motrixsim.SceneData(self._model, batch=[num_envs])
        self._substeps, self._steps = substeps, 1
        for _ in range(WARM_UP // substeps + 1):
            seconds, _ = self.run()
        self._steps = steps or block_steps(seconds)
        self.made = self._steps * num_envs

    def run(self) -> Times:
        """Runs a block."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(self._steps * self._substeps):
            self._sim.step(self._model, self._data)
        return time.perf_counter() - wall, time.process_time() - cpu

    def close(self) -> None:
        """Has nothing to give back."""


def _physics_alone(env_id: str) -> str:
    """Returns an environment's MJCF file without what is only seen.

    Raises:
        ValueError: Its model is not that of a file alone, as on rough ground.
    """
    import mujoco

    task: Any = registration.make_task(env_id)
    file = getattr(task, "model_file", None) or task.robot.model_file
    spec = mujoco.MjSpec.from_file(str(file))
    alone, whole = spec.compile(), task.build_model()
    if (alone.nq, alone.ngeom) != (whole.nq, whole.ngeom):
        raise ValueError("its model is more than an MJCF file")
    root = ElementTree.fromstring(spec.to_xml())
    for parent in root.iter():
        parent.attrib.pop("material", None)
        for child in list(parent):
            if child.tag in ("visual", "texture", "material", "light", "camera", "statistic"):
                parent.remove(child)
    return ElementTree.tostring(root, encoding="unicode")


def block_steps(seconds: float) -> int:
    """Returns how many steps a block has, if one takes so long."""
    return max(1, min(MOST_STEPS, math.ceil(BLOCK / max(seconds, 1e-9))))


class Race:
    """Contestants that run blocks in turn.

    Args:
        contestants: By name; the yardstick first.

    Attributes:
        seconds: What each block took, by contestant.
    """

    def __init__(self, contestants: dict[str, Contestant]):
        self.contestants = contestants
        self.seconds: dict[str, list[Times]] = {name: [] for name in contestants}

    def run(self, rounds: int = 9) -> "Race":
        """Runs blocks of each."""
        for _ in range(rounds):
            for name in self.contestants:
                self.run_block(name)
        return self

    def run_block(self, name: str) -> None:
        """Runs one block of one of them."""
        self.seconds[name].append(self.contestants[name].run())

    def rate(self, name: str, clock: int = 0) -> float:
        """Returns environment steps per second; per second of the processor with `clock` 1."""
        return self.contestants[name].made / median(taken[clock] for taken in self.seconds[name])

    def ratios(self, name: str, clock: int = 0) -> list[float]:
        """Returns, for each round, its speed as a share of the yardstick's."""
        yardstick = next(iter(self.contestants))
        made = self.contestants[name].made / self.contestants[yardstick].made
        pairs = zip(self.seconds[yardstick], self.seconds[name], strict=True)
        return [made * bare[clock] / own[clock] for bare, own in pairs]

    def close(self) -> None:
        """Closes all of them."""
        for contestant in self.contestants.values():
            contestant.close()


def race(
    env_id: str,
    num_envs: int,
    *,
    steps: int | None = None,
    num_threads: int = 0,
    pretrained: bool = False,
    beside: Sequence[str] = (),
) -> tuple[Race, dict[str, str]]:
    """Returns a race of an environment and its bare physics, and of others beside them.

    Args:
        env_id: The environment.
        num_envs: Environments side by side.
        steps: Of a block; None takes as many as last about a tenth of a second.
        num_threads: Threads for the physics; 0: all cores.
        pretrained: Whether the shipped policy acts in ours.
        beside: Some of the other contestants.

    Returns:
        The race, and why contestants are missing, by name.
    """
    ours = Ours(env_id, num_envs, steps=steps, num_threads=num_threads, pretrained=pretrained)
    threads = num_threads or machine()["cores"]

    def one() -> Any:
        return gymnasium.make(f"motrix_gym:{env_id}")

    def envpool() -> Contestant:
        import envpool  # pyright: ignore[reportMissingImports]

        given = {"env_type": "gymnasium", "num_envs": num_envs, "num_threads": threads}
        return Stepped(envpool.make(ENVPOOLS[env_id], **given), num_envs, steps)

    makers: dict[str, Callable[[], Contestant]] = {
        SYNC: lambda: Stepped(gymnasium.vector.SyncVectorEnv([one] * FEW), FEW, steps),
        ASYNC: lambda: Stepped(
            gymnasium.vector.AsyncVectorEnv([one] * FEW, context="spawn"), FEW, steps
        ),
        ENVPOOL: envpool,
        MOTRIXSIM: lambda: MotrixSim(env_id, num_envs, ours.base.substeps, steps),
    }
    contestants: dict[str, Contestant] = {BARE: Bare(ours), OURS: ours}
    missing: dict[str, str] = {}
    for name in beside:
        package = name.partition(" ")[0]
        if importlib.util.find_spec(package) is None:
            missing[name] = f"{package} is not installed"
        elif name == ENVPOOL and env_id not in ENVPOOLS:
            missing[name] = "it has no such task"
        else:
            try:
                contestants[name] = makers[name]()
            except Exception as error:  # of another project's code
                missing[name] = one_line(f"{type(error).__name__}: {error}", 200)
    return Race(contestants), missing
