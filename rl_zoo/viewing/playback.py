# SPDX-License-Identifier: Apache-2.0
"""Playing a policy as a viewer asks: pause, speed, commands of a person, another policy or physics.

It needs no display. A viewer calls `Playback.advance` and shows the row `Playback.row`.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from motrix_gym import MotrixVectorEnv, rotations
from motrix_gym.commands import Command
from motrix_gym.view import View

SPEEDS = (0.1, 4.0)  # the slowest and the fastest, in simulated seconds per second
HISTORY = 10.0  # simulated seconds that are remembered
POINTS = 100  # of a plot; each costs some hundred bytes in every frame that is sent
MAX_BEHIND = 0.1  # seconds; a computer that is slower than the robot makes the robot slower

Act = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Actions (n, act) for observations (n, obs) and the rows (n,) bool in which an episode begins."""

Make = Callable[[bool], MotrixVectorEnv]
"""Makes the environment that is played, with physics that is randomised or as it is."""


@dataclass(frozen=True)
class Moment:
    """What is remembered of a step of the shown row.

    Attributes:
        time: Simulated seconds since the environment was reset.
        rewards: Each weighted reward term.
        metrics: Each of the task's metrics, in its unit.
    """

    time: float
    rewards: dict[str, float]
    metrics: dict[str, float]


class Playback:
    """An environment that a policy acts in, step by step.

    Attributes:
        env: The environment; `randomize` puts another in its place, and closes the last one.
        paused: Whether `advance` does nothing.
        speed: Simulated seconds per second, within `SPEEDS`.
        history: The last moments of the shown row, at most `HISTORY` seconds of them.
        randomized: Whether the physics is randomised.
    """

    def __init__(
        self,
        env: MotrixVectorEnv,
        act: Act,
        seed: int,
        make: Make | None = None,
        randomized: bool = False,
    ):
        """Starts episodes with a seed.

        Args:
            env: The environment.
            act: The policy.
            seed: Of the episodes.
            make: What `randomize` calls; None if the physics cannot be randomised.
            randomized: Whether that of `env` is.
        """
        self.env, self.paused, self.speed, self.randomized = env, False, 1.0, randomized
        self._act, self._row, self._seed, self._make = act, 0, seed, make
        self._held: dict[Command, float] = {}
        self._steering = False
        self._most = math.ceil(HISTORY / self.step_time)
        self.history: deque[Moment] = deque(maxlen=self._most)
        self._start(seed)

    def _start(self, seed: int | None) -> None:
        self.env.intervene = self._write_held
        self._observations, _ = self.env.reset(seed=seed)
        self._starts = np.ones(self.env.num_envs, bool)
        self._time = self._behind = 0.0
        self.history.clear()

    @property
    def step_time(self) -> float:
        """Simulated seconds of a step."""
        return self.env.config.control_timestep

    @property
    def row(self) -> int:
        """The row that is shown; another one is a change of what is shown, and of nothing else."""
        return self._row

    @row.setter
    def row(self, row: int) -> None:
        self._row = row % self.env.num_envs
        self.history.clear()

    @property
    def time(self) -> float:
        """Simulated seconds since the last `reset`."""
        return self._time

    @property
    def held(self) -> dict[Command, float]:
        """The commands that a person holds, with their values (a copy)."""
        return dict(self._held)

    def reset(self) -> None:
        """Starts new episodes, which begin in other states than the last ones."""
        self._start(None)

    def use(self, act: Act) -> None:
        """Goes on with another policy, from the same state."""
        self._act = act
        self._starts[:] = True  # its memory is empty

    def hold(self, command: Command, value: float | None) -> None:
        """Asks all rows for a value, from the next observation on; None ends that."""
        if value is None:
            self._held.pop(command, None)
        else:
            self._held[command] = value

    def asked(self, command: Command) -> float:
        """Returns what the shown row is asked for."""
        value = self.env.simulation.fields[command.field][self.row, command.index]
        return self._held.get(command, float(value))

    @property
    def steered(self) -> list[Command]:
        """The commands that keys set, such as velocities."""
        return [command for command in self.env.task.commands if command.rest is not None]

    def steer(self, shares: Sequence[float]) -> None:
        """Holds what keys ask for; once all are let go, it holds rest.

        Args:
            shares: For each of `steered`, 0 for its rest, 1 for the highest value, -1 for the
                lowest. While all are 0, sliders and the task's own draws stay as they are.
        """
        steering = any(shares)
        if steering or self._steering:
            for command, share in zip(self.steered, shares, strict=True):
                rest, end = command.rest or 0.0, command.high if share > 0 else command.low
                self.hold(command, rest + abs(share) * (end - rest))
        self._steering = steering

    @property
    def can_randomize(self) -> bool:
        """Whether the task names physics to randomise, so that `randomize` works."""
        return self._make is not None

    def randomize(self, on: bool) -> None:
        """Begins the first episodes again, with physics that is randomised, or as it is.

        What is held and chosen stays.

        Raises:
            ValueError: the task names nothing to randomise.
            ZooError: there is not enough memory; the last environment goes on.
        """
        if self._make is None:
            raise ValueError("the task names no physics to randomise")
        last, self.env = self.env, self._make(on)
        for choice, before in zip(self.env.task.choices, last.task.choices, strict=True):
            choice.chosen = before.chosen
        last.close()
        self.randomized = on
        self._start(self._seed)

    def push(self, forward: float, left: float) -> None:
        """Changes the horizontal velocity of the shown row's base, by m/s in its own heading.

        Raises:
            ValueError: the model has no free joint.
        """
        qpos, qvel = self._base()
        yaw = rotations.yaw(self.env.simulation.fields["qpos"][self.row, qpos + 3 : qpos + 7])
        change = [
            forward * math.cos(yaw) - left * math.sin(yaw),
            forward * math.sin(yaw) + left * math.cos(yaw),
        ]
        self.env.simulation.fields["qvel"][self.row, qvel : qvel + 2] += change

    def pull(self, body: str, wrench: np.ndarray) -> None:
        """Lets a force (3, N) and a torque (3, N m), world frame, act on a body of the shown row.

        They act until the next call; those on other bodies end. A body that the model lacks is
        scenery.
        """
        applied = self.env.simulation.fields["xfrc_applied"]
        applied[...] = 0
        names = {self.env.model.body(i).name: i for i in range(self.env.model.nbody)}
        if body in names:
            applied.reshape(len(applied), -1, 6)[self.row, names[body]] = wrench

    @property
    def has_base(self) -> bool:
        """Whether the model has a free joint, so that `push` works."""
        return bool((self.env.model.jnt_type == 0).any())

    def advance(self, seconds: float) -> int:
        """Lets time pass, unless paused; returns the number of steps made.

        Args:
            seconds: Of a clock on the wall.
        """
        if self.paused:
            return 0
        self._behind += min(seconds, MAX_BEHIND) * self.speed
        count = int(self._behind / self.step_time + 1e-9)
        self._behind -= count * self.step_time
        for _ in range(count):
            self.step()
        return count

    def step(self) -> None:
        """Makes one step, also if paused."""
        actions = self._act(self._observations, self._starts)
        self._observations, _, terminated, truncated, info = self.env.step(actions)
        self._starts = terminated | truncated
        self._time += self.step_time
        self.history.append(
            Moment(
                self._time,
                {name: float(x[self.row]) for name, x in _entries(info["reward_terms"])},
                {name: float(x[self.row]) for name, x in _entries(info["metrics"])},
            )
        )

    def mean_rewards(self, seconds: float = 1.0) -> dict[str, float]:
        """Returns each weighted reward term's mean over the last steps; empty before the first."""
        last = [moment.rewards for moment in self.history][
            -max(1, round(seconds / self.step_time)) :
        ]
        return {name: sum(x[name] for x in last) / len(last) for name in (last[0] if last else ())}

    def curve(self, metric: str) -> tuple[list[float], list[float]]:
        """Returns times and values of a metric for a plot of at most about `POINTS` points.

        A point is the mean of some steps, or the largest value, as the metric's episodes have it.
        """
        most = self.env.task.metrics[metric].reduce == "max"
        width = math.ceil(self._most / POINTS) * self.step_time
        times, values = [], []
        for _, group in groupby(self.history, lambda moment: round(moment.time / width)):
            moments = list(group)
            few = [moment.metrics[metric] for moment in moments]
            times.append(moments[-1].time)
            values.append(max(few) if most else sum(few) / len(few))
        return times, values

    def _base(self) -> tuple[int, int]:
        """Where the first free joint lies in qpos and in qvel."""
        if not self.has_base:
            raise ValueError("the model has no free joint that could be pushed")
        joint = int(np.flatnonzero(self.env.model.jnt_type == 0)[0])
        return int(self.env.model.jnt_qposadr[joint]), int(self.env.model.jnt_dofadr[joint])

    def _write_held(self, v: View) -> None:
        for command, value in self._held.items():
            command.write(v, value)
        if self._held:
            self.env.task.obey(v)


def _entries(info: dict[str, np.ndarray]) -> list[tuple[str, np.ndarray]]:
    """The entries of an info without the masks that go with them."""
    return [(name, x) for name, x in info.items() if not name.startswith("_")]


def random_actions(env: MotrixVectorEnv, seed: int) -> Act:
    """Returns what draws actions uniformly from the action space."""
    env.action_space.seed(seed)
    return lambda *_: env.action_space.sample()


def zero_actions(env: MotrixVectorEnv, seed: int) -> Act:
    """Returns what does nothing: actions are 0."""
    actions = np.zeros_like(env.action_space.sample())
    return lambda *_: actions
