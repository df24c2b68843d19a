# SPDX-License-Identifier: Apache-2.0
"""What the author of a task writes: a frozen configuration, and a few functions of a view.

The functions get a ``View``: MuJoCo's fields under MuJoCo's names and the task's own buffers,
for all environments or for a few that were just reset, row axis first. The vector environment
(``vector_env``) calls them in this order:

    reset    write the start state of the view's rows; the channels are read after it
    act      action -> v.ctrl
    disturb  pushes and the like, before the physics
    (physics: ``substeps`` steps)
    terminated, rewards, measure, success   judge the transition
    advance  update buffers for the next step (timers, commands)
    the channels of ``observation_channels`` are read: the state as it is

They must be functions of the view and of nothing else. Their results must not depend on the number
of rows: use element-wise NumPy, row sums, norms and einsum, and not ``@``, since BLAS adds up in
another order for another number of rows. A quantity that several of them need is computed once per
step by ``v.cached``.
"""

import dataclasses
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import mujoco
import numpy as np

from motrix_gym import settings
from motrix_gym.buffer import Buffer
from motrix_gym.commands import Choice, Command
from motrix_gym.contacts import add_contact_sensors
from motrix_gym.names import nearest, shown
from motrix_gym.observation import Channel, Frames, check_channels, mirror
from motrix_gym.random import RowRandom
from motrix_gym.randomization import Randomization
from motrix_gym.settings import number, weights, whole
from motrix_gym.success import SuccessRule
from motrix_gym.symmetry import Mirror
from motrix_gym.view import View

_MAX_SUBSTEPS = 100_000  # of a step, so that it ends in reasonable time
_COMPARISONS = {">=": operator.ge, "<=": operator.le}


class TaskError(ValueError):
    """A task is not written as it must be; the message says what is wrong."""


@dataclass(frozen=True)
class Metric:
    """A task's own measure, computed in every step and reduced to one value per episode."""

    unit: str
    reduce: str = "mean"
    """How the steps' values make the episode's: "mean", "max" or "last"."""
    description: str = ""
    rate: bool = False
    """Whether an episode's value is 0 or 1, such as a fall, so that the mean over episodes is a
    rate and an evaluation gives a binomial interval."""
    words: tuple[str, ...] = ()
    """Names of the values 0, 1, ..., if they are classes, such as kinds of ground."""

    def __post_init__(self) -> None:
        """Check the reduction.

        Raises:
            ValueError: if it is another word, or a rate is a mean.
        """
        if self.reduce not in ("mean", "max", "last"):
            raise ValueError(f"reduce must be 'mean', 'max' or 'last', got {self.reduce!r}")
        if self.rate and self.reduce == "mean":
            raise ValueError("reduce must be 'max' or 'last' for a rate, got 'mean'")


@dataclass(frozen=True)
class Goal:
    """A condition on the mean of a figure over the episodes of an evaluation."""

    figure: str
    """Name of the figure: "return", "success" or a metric's."""
    comparison: str
    """One of ">=" and "<="."""
    value: float
    """In the figure's unit."""

    def __post_init__(self) -> None:
        """Check the comparison.

        Raises:
            ValueError: if it is another.
        """
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
        ValueError: if a setting's value is not allowed, or the control period is not a whole number
            of physics steps, 1 to 100,000.
    """

    control_timestep: float = number(0.02, least=1e-6, most=60)
    """Seconds between two actions."""
    physics_timestep: float = number(0.004, above=0)
    """Seconds of one physics step."""
    max_episode_steps: int | None = whole(1000, least=1)
    """Steps after which an episode is truncated; None is never."""
    observation_noise: float = number(0.0, least=0)
    """Multiplies each channel's noise; 0 switches noise off."""
    randomization: Randomization = Randomization()
    """Physics that differs between environments; off by default."""
    reward_weights: Mapping[str, float] = weights()
    """Weight of each reward term; overriding some leaves the others as they are."""

    def __post_init__(self) -> None:
        """Check every setting, and that the time steps fit."""
        settings.make_plain(self)
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
        """A copy with some settings changed.

        A setting that holds others, such as ``reward_weights`` or ``randomization``, is changed in
        parts: by a mapping of these, or by dotted names, ``**{"commands.forward": (1, 1)}``.

        Raises:
            TypeError: for a setting that does not exist; the message has the nearest name.
            ValueError: for a part that does not exist, or a value that is not allowed.
        """
        names = [f.name for f in dataclasses.fields(self)]
        for name in changes:
            if name.partition(".")[0] not in names:
                near = nearest(name, names)
                hint = f": did you mean {near!r}?" if near else ""
                raise TypeError(
                    f"{type(self).__name__} got an unexpected keyword argument {shown(name)}{hint} "
                    f"(settings: {', '.join(sorted(names))})"
                )
        return settings.changed(self, changes)


class Task:
    """A task: subclass it, set the class attributes, write the functions.

    Attributes:
        config: the settings.
        model: the compiled MjModel.
        dt: seconds between two actions.
    """

    model_file: ClassVar[Path]
    """The MJCF file, unless ``build_model`` is overridden."""
    metrics: Mapping[str, Metric] = MappingProxyType({})
    """The task's own measures by name, of which ``measure`` returns the values."""
    derived: ClassVar[tuple[str, ...]] = ()
    """MjData fields that the functions read besides the state and sensors."""
    derived_up_to_date: ClassVar[bool] = False
    """Whether positions and velocities in derived fields describe the state after the step; else
    they describe the state before its last physics step. Needed if channels read them. It costs
    about a fifth of a physics step."""
    settling_steps: ClassVar[int] = 0
    """Physics steps that a row makes between ``reset`` and the start of its episode, with the
    controls that ``reset`` wrote. A row that diverges in them starts from the model's own state."""
    per_world: tuple[str, ...] = ()
    """MjModel fields that may differ between rows. When ``reset`` is called, those of its rows hold
    the model's own values. ``reset`` may write them, and ``act`` and ``disturb`` may in every
    step."""
    without_constants: ClassVar[tuple[str, ...]] = ()
    """Those of ``per_world`` for which MuJoCo's derived constants (``mj_setConst``) are not needed,
    such as ``geom_pos`` of geoms on bodies that never move. Deriving them anew costs much, at each
    reset."""
    success_rule: ClassVar[SuccessRule] = SuccessRule()
    """Whether the goal must be reached at the end of an episode, once, or for some time."""
    contacts: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Pairs of geoms by the name of a sensor, which is added to the model for each. The reading
    ``v.sensor(name)``, (n, 3), is the net force of the first geom on the second (N, world frame; 0
    without contact) in the state before the last physics step, also with ``derived_up_to_date``."""
    randomized: Mapping[str, Any] = MappingProxyType({})
    """The domain randomisation that ``evaluate --randomize`` and ``play --randomize`` switch on:
    settings by dotted name."""
    changes: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
    """The rows of ``evaluate --robustness``, by a label: each is one change of the physics, as
    settings by dotted name."""
    camera: str | int = -1
    """The camera that ``render`` uses."""
    commands: Sequence[Command] = ()
    """What a person may ask the robot for, in place of the task's own draws."""
    choices: Sequence[Choice] = ()
    """What a person may choose of the next episodes, in place of the task's own draws."""

    def __init__(self, config: TaskConfig):
        """Compile the model for ``config``.

        Raises:
            TaskError: if the task lacks a function that it must define.
        """
        for name in ("observation_channels()", "rewards(v)"):
            plain = name.partition("(")[0]
            if getattr(type(self), plain) is getattr(Task, plain):
                raise TaskError(f"{type(self).__name__} must define {name}")
        self.config = config
        self.model = self.build_model()
        self.model.opt.timestep = config.physics_timestep
        self.dt = config.control_timestep

    def build_model(self) -> mujoco.MjModel:
        """The MjModel, by default compiled from ``model_file``, with sensors for ``contacts``."""
        spec = mujoco.MjSpec.from_file(str(self.model_file))
        add_contact_sensors(spec, self.contacts)
        return spec.compile()

    def build_picture_model(self) -> mujoco.MjModel:
        """The model that pictures show; it has the joints of ``model``, and may show more."""
        return self.model

    def observation_channels(self) -> Sequence[Channel]:
        """What the observation holds, in order."""
        raise NotImplementedError

    def action_channels(self) -> Sequence[Channel]:
        """What the action, Box(-1, 1), holds, in order; by default an entry per actuator."""
        names = [self.model.actuator(i).name or f"actuator{i}" for i in range(self.model.nu)]
        return [Channel(name) for name in names]

    @property
    def observation(self) -> tuple[Channel, ...]:
        """The checked ``observation_channels``."""
        return check_channels(self.observation_channels(), "observation")

    @property
    def action(self) -> tuple[Channel, ...]:
        """The checked ``action_channels``."""
        return check_channels(self.action_channels(), "action")

    def observe(self, v: View) -> np.ndarray:
        """(n, size) float32: all channels as they are, without noise, delay or history."""
        return Frames(self.observation, 0).read(v)

    @property
    def mirror(self) -> Mirror | None:
        """The task's left-right symmetry, as the channels declare it; None if they declare none.

        Its observations are those without privileged channels.
        """
        return mirror([c for c in self.observation if not c.privileged], self.action)

    def deployment(self) -> dict[str, Any]:
        """Returns what a control loop outside of this package needs to run a policy of the task.

        It is plain JSON, which trainers store with the policy. The base class gives the settings,
        the seconds between two actions and the actions per second. A task adds the frames, offsets
        and scales of its channels, the gains of its actuators, and its clocks.
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
        """Write the start state of v's rows, which hold the model's default state."""

    def act(self, v: View, action: np.ndarray) -> None:
        """Turn ``action`` (n, act_dim), float32 in [-1, 1], into ``v.ctrl``; by default a copy."""
        if action.shape != v.ctrl.shape:
            shapes = f"{action.shape[1]} entries, and the model {v.ctrl.shape[1]} controls"
            raise ValueError(f"an action has {shapes}: write the task's ``act``")
        v.ctrl = action

    def disturb(self, v: View, rng: RowRandom) -> None:
        """Change the state before the physics of a step, as pushes do."""

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

    def obey(self, v: View) -> None:
        """Bring up to date what follows from ``commands``, which a person has just written.

        It is called after ``reset`` and ``advance``, before ``v`` is observed.
        """

    def draw(self, scene: Any, v: View) -> None:
        """Add to the ``mujoco.MjvScene`` of a picture what is no geom of the model.

        Args:
            scene: the scene.
            v: a view of the one row that the picture shows.
        """
