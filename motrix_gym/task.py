# SPDX-License-Identifier: Apache-2.0
"""What an author writes: a task, as a frozen configuration and a few functions of a view.

The functions get a ``View``: MuJoCo's fields under MuJoCo's names and the task's own buffers,
for all environments or for a few that were just reset, row axis first. The engine
(``vector_env``) calls them in this order:

    reset    write the start state of the view's rows; ``observe`` follows
    act      action -> v.ctrl
    (physics: ``substeps`` steps)
    terminated, rewards, measure, success   judge the transition
    advance  update buffers for the next step (timers, commands)
    observe  the state as it is now

They must be functions of the view and of nothing else, and use element-wise NumPy, row sums,
norms and einsum, whose results do not depend on the number of rows; BLAS ``@`` is not so. What
several of them need of a step, ``v.once`` computes once.
"""

import dataclasses
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import mujoco
import numpy as np

from motrix_gym import settings
from motrix_gym.names import nearest, shown
from motrix_gym.random import RowRandom
from motrix_gym.settings import number, weights, whole
from motrix_gym.simulation import View
from motrix_gym.symmetry import Mirror

_MAX_SUBSTEPS = 100_000  # of a step, so that it ends in reasonable time
_COMPARISONS = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Buffer:
    """A per-environment array that outlives a step; the engine resets, saves and restores it."""

    shape: tuple[int, ...] = ()
    dtype: type = np.float64
    reset: float = 0.0


@dataclass(frozen=True)
class Channel:
    """``size`` neighbouring entries of an observation or action, for tables and exports."""

    name: str
    unit: str = "1"
    size: int = 1
    noise: float = 0.0
    """Half-width of the uniform noise on an observation at ``observation_noise=1``."""


@dataclass(frozen=True)
class Metric:
    """A task's own measure, given per step; an episode's is the mean, max or last of them."""

    unit: str
    reduce: str = "mean"
    description: str = ""
    rate: bool = False
    """Whether an episode's value is 0 or 1, such as a fall, so that the mean over episodes is a
    rate and an evaluation gives a binomial interval."""

    def __post_init__(self) -> None:
        """Check the reduction."""
        if self.reduce not in ("mean", "max", "last"):
            raise ValueError(f"reduce must be 'mean', 'max' or 'last', got {self.reduce!r}")
        if self.rate and self.reduce == "mean":
            raise ValueError("reduce must be 'max' or 'last' for a rate, got 'mean'")


@dataclass(frozen=True)
class Goal:
    """A condition on an evaluation's mean figure ("return", "success" or a metric's name)."""

    figure: str
    comparison: str
    value: float

    def __post_init__(self) -> None:
        """Check the comparison."""
        if self.comparison not in _COMPARISONS:
            raise ValueError(f"comparison must be one of {list(_COMPARISONS)}: {self.comparison!r}")

    def met(self, value: float) -> bool:
        """Whether a figure of ``value`` meets the goal."""
        return bool(_COMPARISONS[self.comparison](value, self.value))

    def __str__(self) -> str:
        """For tables: ``return >= 990``."""
        return f"{self.figure} {self.comparison} {self.value:g}"


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """The settings every task has; a task adds its own in a subclass, as ``settings`` says.

    Raises:
        ValueError: if a setting cannot be, or the control period is not a whole number of physics
            steps, 1 to 100,000.
    """

    control_timestep: float = number(0.02, least=1e-6, most=60)
    """Seconds between two actions."""
    physics_timestep: float = number(0.004, above=0)
    """Seconds of one physics step."""
    max_episode_steps: int | None = whole(1000, least=1)
    """Steps after which an episode is truncated; None is never."""
    observation_noise: float = number(0.0, least=0)
    """Multiplies each channel's noise; 0 switches noise off."""
    reward_weights: Mapping[str, float] = weights()
    """Weight of each reward term; overriding some leaves the others as they are."""

    def __post_init__(self) -> None:
        """Check every setting, and that the time steps fit."""
        settings.check(self)
        ratio = float(self.control_timestep) / float(self.physics_timestep)
        if not 0.5 < ratio < _MAX_SUBSTEPS + 0.5 or abs(ratio - round(ratio)) > 1e-6:
            raise ValueError(
                f"control_timestep {self.control_timestep} s is not a whole multiple, 1 to "
                f"{_MAX_SUBSTEPS:,} times, of physics_timestep {self.physics_timestep} s "
                f"(ratio {ratio:g})"
            )

    @property
    def substeps(self) -> int:
        """Physics steps per action."""
        return round(self.control_timestep / self.physics_timestep)

    def override(self, **changes: Any) -> Any:
        """A copy with some settings changed; ``reward_weights`` are merged.

        Raises:
            TypeError: for a setting that does not exist, with the nearest name.
            ValueError: for a reward term that does not exist, or an impossible value.
        """
        names = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name not in names:
                near = nearest(name, names)
                hint = f": did you mean {near!r}?" if near else ""
                raise TypeError(
                    f"{type(self).__name__} got an unexpected keyword argument {shown(name)}{hint} "
                    f"(settings: {', '.join(sorted(names))})"
                )
        given = changes.get("reward_weights")
        if isinstance(given, Mapping):
            terms = self.reward_weights
            for term in given:
                if term not in terms:
                    raise ValueError(
                        f"no reward term {shown(term)}: the terms are {', '.join(sorted(terms))}"
                    )
            changes["reward_weights"] = {**terms, **given}
        return dataclasses.replace(self, **changes)


class Task:
    """A task: subclass it, set the class attributes, write the functions.

    Attributes:
        config: the settings.
        model: the compiled MjModel.
        dt: seconds between two actions.
    """

    model_file: ClassVar[Path]
    """The MJCF file, unless ``build_model`` is overridden."""
    observation: ClassVar[tuple[Channel, ...]]
    """What the observation holds, in order."""
    action: ClassVar[tuple[Channel, ...]]
    """What the action, Box(-1, 1), holds, in order."""
    metrics: ClassVar[Mapping[str, Metric]] = {}
    """What ``measure`` returns."""
    derived: ClassVar[tuple[str, ...]] = ()
    """MjData fields that the functions read besides the state and sensors."""
    current: ClassVar[bool] = False
    """Whether derived fields must describe the state after the step, not one substep before:
    needed if ``observe`` reads them; costs about a fifth of a substep."""
    settle: ClassVar[int] = 0
    """Physics steps that a row makes with the controls that ``reset`` left, before its episode. A
    row that diverges in them starts from the model's own state."""
    per_world: ClassVar[tuple[str, ...]] = ()
    """MjModel fields that ``reset`` randomises; start each from ``self.model``, never from the
    row's last value."""
    camera: ClassVar[str | int] = -1
    """The camera that ``render`` uses."""
    mirror: ClassVar[Mirror | None] = None
    """A symmetry of the task, such as left and right exchanged; learning can use it."""

    def __init__(self, config: TaskConfig):
        """Compile the model for ``config``."""
        self.config = config
        self.model = self.build_model()
        self.model.opt.timestep = config.physics_timestep
        self.dt = config.control_timestep

    def build_model(self) -> mujoco.MjModel:
        """The MjModel, by default compiled from ``model_file``."""
        return mujoco.MjModel.from_xml_path(str(self.model_file))

    def deployment(self) -> dict[str, Any]:
        """Returns what a control loop outside of this package needs to run a policy of the task.

        Trainers store it with the policy, so it is plain JSON. The base class gives the settings,
        seconds between two actions and actions per second; a task adds the frames and offsets of
        its channels, the numbers behind their scales, actuator gains and clocks.
        """
        return {
            "settings": settings.as_json(self.config),
            "control_timestep": self.dt,
            "control_rate": 1.0 / self.dt,
        }

    def buffers(self) -> Mapping[str, Buffer]:
        """The per-environment arrays that the functions keep, by name."""
        return {}

    def reset(self, v: View, rng: RowRandom) -> None:
        """Write the start state of v's rows, which hold the model's defaults."""

    def act(self, v: View, action: np.ndarray) -> None:
        """Turn ``action`` (n, act_dim), float32 in [-1, 1], into ``v.ctrl``; by default a copy."""
        if action.shape != v.ctrl.shape:
            shapes = f"{action.shape[1]} entries, and the model {v.ctrl.shape[1]} controls"
            raise ValueError(f"an action has {shapes}: write the task's ``act``")
        v.ctrl = action

    def terminated(self, v: View) -> np.ndarray:
        """(n,) bool: the episode has reached an end of its own (never a time limit)."""
        return np.zeros(v.n, bool)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Each reward term, (n,), unweighted; the names are those of ``reward_weights``."""
        raise NotImplementedError

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Each metric, (n,), of the step just made."""
        return {}

    def success(self, v: View) -> np.ndarray | None:
        """(n,) bool whether the goal is reached now, or None for a task without a goal."""
        return None

    def advance(self, v: View, rng: RowRandom) -> None:
        """Update buffers after the step was judged and before it is observed."""

    def observe(self, v: View) -> np.ndarray:
        """(n, obs_dim): the state as it is now, without noise."""
        raise NotImplementedError
