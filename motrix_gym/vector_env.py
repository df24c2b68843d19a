# SPDX-License-Identifier: Apache-2.0
"""The vector environment: the life cycle of an episode, the same for every task."""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from motrix_gym.engine import Engine, copy_into
from motrix_gym.judgement import check_judgement
from motrix_gym.names import did_you_mean, shown
from motrix_gym.observation import Channel, Frames
from motrix_gym.random import MAX_SEED, RandomStreams
from motrix_gym.randomization import Randomizer
from motrix_gym.rendering import tile
from motrix_gym.settings import integer, integers, is_list, is_mapping
from motrix_gym.simulation import Simulation
from motrix_gym.task import Task, TaskConfig
from motrix_gym.view import View

MAX_ENVS = 2**31 - 1  # what MuJoCo counts to
MAX_THREADS = 1024  # more never help, and thousands cannot be started
MAX_SIDE = 2**31 - 1  # pixels, the largest C int; the renderer has a limit by model
_RENDER_MODES = ("rgb_array", "rgb_array_tiled")


class MotrixVectorEnv(VectorEnv[np.ndarray, np.ndarray, np.ndarray]):
    """``num_envs`` copies of a task, stepped together.

    Observations (num_envs, obs_dim) are float32; rewards (num_envs,) float64; actions
    (num_envs, act_dim) float32, clipped to [-1, 1]. Everything returned is fresh: it is never
    written again. ``info`` holds, in every step,

    - ``reward_terms``: each weighted term (num_envs,), whose sum is the reward;
    - ``metrics``: the task's own measures (num_envs,);
    - ``success`` (num_envs,) bool, if the task has a goal.

    They are of the step just made, also in rows that were reset at its end. In some steps there are

    - ``final_obs`` (num_envs, obs_dim) and ``final_info``: the last observation and info of the
      episodes that ended (SAME_STEP only);
    - ``fault`` (num_envs,) bool: simulations that diverged. Such a row terminates, with reward
      and metrics 0, in the model's default state. The other rows are not affected.

    A mask ``_key`` (num_envs,) bool goes with every ``key``: the rows that made a step (with
    NEXT_STEP, rows that were reset instead made none), or those whose episodes ended.

    Environment i draws from a random stream of its own, seeded ``seed + i``.

    Attributes:
        task: the Task.
        config: its TaskConfig.
        simulation: the worlds (``.batch`` is MuJoCo's).
        model: the MjModel.
        substeps: physics steps per action.
        intervene: if not None, it is called with the view after ``Task.reset`` and after
            ``Task.advance``, before rows are observed. A viewer sets commands by it.
    """

    def __init__(
        self,
        task: Task,
        num_envs: int = 1,
        *,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        num_threads: int = 0,
        render_mode: str | None = None,
        render_rows: Sequence[int] | None = None,
        render_size: tuple[int, int] = (640, 480),
        privileged: bool = False,
    ):
        """Create the environments; ``reset`` must be called before the first ``step``.

        Args:
            task: the task; ``gymnasium.make_vec`` makes it from its id.
            num_envs: number of copies.
            autoreset_mode: SAME_STEP, NEXT_STEP or DISABLED.
            num_threads: threads for the physics, the caller's included, at most 1024; 0 takes all
                cores.
            render_mode: "rgb_array" (a picture per row), "rgb_array_tiled" (one picture, of all
                rows in a grid) or None.
            render_rows: the rows to draw, in this order; by default all, which Gymnasium's
                RecordVideo and HumanRendering need.
            render_size: (width, height) of a row's picture in pixels.
            privileged: whether observations hold the task's privileged channels too, after the
                others: for a value function in training, never for a policy.

        Raises:
            ValueError: if an argument is outside what is said above.
        """
        num_envs = integer("num_envs", num_envs, 1, MAX_ENVS)
        num_threads = integer("num_threads", num_threads, 0, MAX_THREADS)
        if render_mode is not None and render_mode not in _RENDER_MODES:
            given = shown(render_mode)
            raise ValueError(f"render_mode must be None or {_RENDER_MODES}, got {given}")
        rows = range(num_envs) if render_rows is None else render_rows
        rows = integers("render_rows", rows, 0, num_envs - 1)
        size = _picture_size(render_size)
        self.autoreset_mode = _autoreset_mode(autoreset_mode)
        self.task = task
        self.config: TaskConfig = task.config
        self.model = task.model
        self.substeps = self.config.substeps
        self.num_envs = num_envs
        self.render_mode = render_mode
        self._render_rows, self._render_size = rows, size
        self.metadata = {
            "render_modes": list(_RENDER_MODES),
            "render_fps": round(1.0 / self.config.control_timestep),
            "autoreset_mode": self.autoreset_mode,
        }
        self._privileged = privileged
        self._frames = self._make_frames()
        width, action_size = self._frames.width, sum(channel.size for channel in task.action)
        self.single_observation_space = Box(-np.inf, np.inf, (width,), np.float32)
        self.single_action_space = Box(-1.0, 1.0, (action_size,), np.float32)
        self._action_shape = (num_envs, action_size)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self._randomizer = Randomizer(
            self.config.randomization, task.model, action_size, self.config.control_timestep
        )
        self._declared = {
            **task.buffers(),
            **task.success_rule.buffers,
            **self._randomizer.buffers,
        }
        self.simulation: Engine = Simulation(
            task.model,
            num_envs,
            num_threads,
            derived=task.derived,
            per_world=dict.fromkeys((*task.per_world, *self._randomizer.per_world)),
            without_constants=task.without_constants,
            buffers={
                name: np.full((num_envs, *buffer.shape), buffer.initial, buffer.dtype)
                for name, buffer in self._declared.items()
            },
            build_picture_model=_overridden(task.build_picture_model, Task.build_picture_model),
        )
        self._defaults = {
            name: np.array(getattr(self.model, name)) for name in self.simulation.per_world
        }
        self._random = RandomStreams(num_envs)
        self._checked = False  # whether what the task says of a step has been checked
        self._seeded = False
        self._started = np.zeros(num_envs, bool)
        self._ended = np.zeros(num_envs, bool)  # rows whose episode is over and not yet reset
        self._elapsed = np.zeros(num_envs, np.int64)
        self._observations = np.zeros((num_envs, width), np.float32)
        self._every_row = np.ones(num_envs, bool)
        self._frames.check(self.simulation.rows(np.arange(1)))
        self.intervene: Callable[[View], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle is made of: a task's channels may hold local functions."""
        return self.__dict__ | {"_frames": self._frames.arrays}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._frames = self._make_frames()
        copy_into(self._frames.arrays, state["_frames"])

    def _make_frames(self) -> Frames:
        channels = [c for c in self.task.observation if self._privileged or not c.privileged]
        return Frames(channels, self.num_envs, self.config.observation_noise)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that an observation holds, in order."""
        return self._frames.channels

    @property
    def policy_width(self) -> int:
        """Entries of an observation that a policy may see; they come first."""
        return sum(channel.width for channel in self.channels if not channel.privileged)

    @property
    def elapsed_steps(self) -> np.ndarray:
        """(num_envs,) age of the current episodes in steps, by the time limit's count (a copy)."""
        return self._elapsed.copy()

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start new episodes.

        Args:
            seed: s, an integer from 0 to 2**64 - 1, restarts the stream of environment i from
                s + i (modulo 2**64); a list gives each its own (None leaves that one as it is);
                None goes on with the streams as they are.
            options: ``{"reset_mask": mask}``, (num_envs,) bool, resets those rows only.
                ``{"elapsed_steps": steps}``, (num_envs,) integers, makes the time limit count the
                new episodes as so many steps old, so that rows that begin together reach it at
                different times.

        Returns:
            Observations (num_envs, obs_dim), of all rows, and an empty info.

        Raises:
            ValueError: if the seeds or the options have the wrong length, type or sign, an
                episode would be over at once, or a row that was never reset is left out.
        """
        mask, elapsed = self._reset_options(options)
        self._seed(seed, mask)
        if not (mask | self._started).all():
            raise ValueError("the first reset must be of all environments: leave out reset_mask")
        ids = np.flatnonzero(mask)
        self._observations[ids] = self._reset_rows(ids)
        if elapsed is not None:
            self._elapsed[ids] = elapsed[ids]
        return self._observations.copy(), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Advance every environment by one action.

        Args:
            actions: (num_envs, act_dim), finite; values outside [-1, 1] are clipped.

        Returns:
            Observations, rewards, terminated, truncated and info, as the class describes.

        Raises:
            ValueError: if the actions have the wrong shape or type, or are not finite, naming rows.
            RuntimeError: before the first ``reset``, or, with autoreset DISABLED, if a row's
                episode is over and was not reset.
        """
        if not self._started.all():
            raise RuntimeError("call reset() before the first step()")
        action = check_actions(actions, self._action_shape)
        waiting = self._ended.copy() if self._ended.any() else None
        if waiting is None:
            ids, v = None, self.simulation.all
        else:
            if self.autoreset_mode is AutoresetMode.DISABLED:
                rows = np.flatnonzero(waiting)
                raise RuntimeError(
                    f"the episodes of environments {_first_few(rows)} are over: reset them with "
                    "reset(options={'reset_mask': mask}) before the next step"
                )
            ids = np.flatnonzero(~waiting)
            v, action = self.simulation.rows(ids), action[ids]
        rows = slice(None) if ids is None else ids

        self.task.act(v, self._randomizer.late(v, action))
        self.task.disturb(v, self._random.rows(rows))
        self._randomizer.push(v, self._random.rows(rows))
        v.commit()
        fault = self.simulation.step(self.substeps, ids, self.task.derived_up_to_date)
        if fault is not None:
            self._neutralise(np.flatnonzero(fault))
        self._elapsed[rows] += 1

        # The step has changed what the old view copied and kept.
        v = self.simulation.all if ids is None else self.simulation.rows(ids)
        # Copied, since a task may return a field or a buffer itself, which lives on.
        ends, unweighted = self.task.terminated(v), self.task.rewards(v)
        measures, success = self.task.measure(v), self.task.success(v)
        if not self._checked:
            check_judgement(self.task, v.n, ends, unweighted, measures, success)
            self._checked = True
        terminated = self._in_all_rows(np.array(ends, bool), rows)
        weights = self.config.reward_weights
        terms = {k: self._in_all_rows(weights[k] * x, rows) for k, x in unweighted.items()}
        metrics = {k: self._in_all_rows(np.array(x), rows) for k, x in measures.items()}
        info: dict[str, Any] = {}
        if success is not None:
            success = self.task.success_rule.judge(v, success, self.config.control_timestep)
            info["success"] = self._in_all_rows(np.array(success, bool), rows)
        self.task.advance(v, self._random.rows(rows))
        if self.intervene:
            self.intervene(v)
        v.commit()
        if fault is not None:
            for value in (*terms.values(), *metrics.values(), *info.values()):
                value[fault] = 0
            terminated |= fault
            info["fault"] = fault
        rewards = np.zeros(self.num_envs)
        for value in terms.values():
            rewards += value
        limit = self.config.max_episode_steps
        truncated = self._elapsed >= limit if limit else np.zeros(self.num_envs, bool)
        observations = self._in_all_rows(self._observe(v, first=False), rows)
        if waiting is not None:
            truncated &= ~waiting
            reset_ids = np.flatnonzero(waiting)
            observations[reset_ids] = self._reset_rows(reset_ids)
        stepped = self._every_row if waiting is None else ~waiting
        terms, metrics = _masked(terms, stepped), _masked(metrics, stepped)
        info = _masked({"reward_terms": terms, "metrics": metrics} | info, stepped)

        ended = terminated | truncated
        if self.autoreset_mode is not AutoresetMode.SAME_STEP:
            self._ended = ended
        elif ended.any():
            ids = np.flatnonzero(ended)
            info["final_obs"], info["_final_obs"] = np.zeros_like(observations), ended
            info["final_obs"][ids] = observations[ids]
            info["final_info"], info["_final_info"] = _copy(info, ended), ended.copy()
            observations[ids] = self._reset_rows(ids)
        self._observations[...] = observations
        return observations, rewards, terminated, truncated, info

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that decides the future, as copied arrays by flat names."""
        arrays = {f"simulation/{k}": v for k, v in self.simulation.snapshot().items()}
        return arrays | {f"episode/{k}": v.copy() for k, v in self._episode_state().items()}

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Return to a ``snapshot`` of an environment of the same task, settings and num_envs.

        Raises:
            ValueError: if the snapshot does not fit; nothing is changed then.
        """
        prefix = "simulation/"
        inner = {k[len(prefix) :]: v for k, v in snapshot.items() if k.startswith(prefix)}
        episode = {f"episode/{k}": v for k, v in self._episode_state().items()}
        copy_into({k: v.copy() for k, v in episode.items()}, snapshot)  # raises before any change
        self.simulation.restore(inner)
        copy_into(episode, snapshot)
        self._seeded = True

    def render(self) -> tuple[np.ndarray, ...] | None:
        """Pictures of ``render_rows``, (height, width, 3) uint8 each; one, if tiled.

        Raises:
            RenderingError: if there is no OpenGL; the message says what to install.
        """
        if self.render_mode is None:
            raise ValueError(f"make the environment with render_mode, one of {_RENDER_MODES}")
        frames = self.pictures(self._render_rows, *self._render_size, self.task.camera)
        return frames if self.render_mode == "rgb_array" else (tile(frames),)

    def pictures(
        self, rows: Iterable[int], width: int, height: int, camera: int | str
    ) -> tuple[np.ndarray, ...]:
        """Pictures of some rows, (height, width, 3) uint8 each, through a camera of the model.

        Raises:
            RenderingError: if there is no OpenGL; the message says what to install.
        """
        draw = self._draw if _overridden(self.task.draw, Task.draw) else None
        return self.simulation.render(rows, width, height, camera, draw)

    def _draw(self, scene: Any, row: int) -> None:
        self.task.draw(scene, self.simulation.rows(np.array([row])))

    def call(self, name: str, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call a method, or read an attribute, and return a tuple with an entry per row.

        The rows share the environment, so a method is called once, and its result is every row's.
        ``render`` gives the pictures that it draws, and the spaces are those of one row.

        Raises:
            AttributeError: if there is no such attribute.
        """
        if name in ("observation_space", "action_space"):
            name = f"single_{name}"
        value: Any = getattr(self, name)
        if callable(value):
            value = value(*args, **kwargs)
        return value if name == "render" else (value,) * self.num_envs

    def get_attr(self, name: str) -> tuple[Any, ...]:
        """An attribute of every row, as ``call`` gives it."""
        return self.call(name)

    def set_attr(self, name: str, values: Any) -> None:
        """Set an attribute, which is one for all rows.

        Args:
            name: an attribute that exists.
            values: its value; a list or a tuple has one for each row, all equal.

        Raises:
            AttributeError: if there is no such attribute, with the nearest name.
            ValueError: if there are not num_envs values, or they differ.
        """
        if not hasattr(self, name):
            hint = did_you_mean(name, vars(self))
            raise AttributeError(
                f"{type(self).__name__} has no attribute {shown(name)}{hint}; settings of the task "
                "are keyword arguments of gymnasium.make_vec"
            )
        if is_list(values):
            if len(values) != self.num_envs or any(
                not np.array_equal(value, values[0]) for value in values
            ):
                raise ValueError(
                    f"{name!r} is one for all rows: need {self.num_envs} equal values, "
                    f"got {shown(values)}"
                )
            values = values[0]
        setattr(self, name, values)

    def close_extras(self, **kwargs: Any) -> None:
        """Free the renderer."""
        self.simulation.close()

    def _reset_rows(self, ids: np.ndarray) -> np.ndarray:
        """Start new episodes in the rows ``ids`` and return their observations."""
        self._to_defaults(ids)
        v = self.simulation.rows(ids)
        self.task.reset(v, self._random.rows(ids))
        self._randomizer.reset(v, self._random.rows(ids))
        if self.intervene:
            self.intervene(v)
        v.commit()
        self.simulation.refresh(ids)
        if self.task.settling_steps:
            fault = self.simulation.step(self.task.settling_steps, ids)
            self.simulation.reset_time(ids)
            if fault is not None:  # of other rows, their own next step reports it
                self._neutralise(ids[fault[ids]])
            self.simulation.refresh(ids)
        self._elapsed[ids] = 0
        self._ended[ids] = False
        self._started[ids] = True
        return self._observe(self.simulation.rows(ids), first=True)

    def _to_defaults(self, ids: np.ndarray) -> None:
        """Put the defaults into the rows ``ids``: the model's state and fields, and the buffers."""
        self.simulation.reset(ids)
        for name, value in self._defaults.items():
            self.simulation.fields[name][ids] = value
        for name, buffer in self._declared.items():
            if buffer.lasts == "episode":
                self.simulation.buffers[name][ids] = buffer.initial

    def _neutralise(self, ids: np.ndarray) -> None:
        """Give diverged rows the default state, so that terms and observations are finite."""
        self._to_defaults(ids)
        self.simulation.refresh(ids)

    def _observe(self, v: View, first: bool) -> np.ndarray:
        """(n, width) float32, fresh: the observations of v's rows.

        Args:
            v: the rows.
            first: whether they are the first ones of their episodes.
        """
        rows = slice(None) if v.ids is None else v.ids
        frame, noise = self._frames.read(v), self._frames.noise
        if noise is not None:
            size = len(noise)
            frame[:, :size] += noise * self._random.rows(rows).uniform32(size)
        return self._frames.deliver(frame, rows, first)

    def _in_all_rows(self, values: np.ndarray, rows: Any) -> np.ndarray:
        """The rows' values in an array of all rows, 0 elsewhere."""
        if isinstance(rows, slice):
            return values
        out = np.zeros((self.num_envs, *values.shape[1:]), values.dtype)
        out[rows] = values
        return out

    def _reset_options(self, options: dict[str, Any] | None) -> tuple[np.ndarray, Any]:
        """The checked mask and elapsed steps."""
        options = options or {}
        names = ("reset_mask", "elapsed_steps")
        for name in options:
            if name not in names:
                hint = did_you_mean(name, names)
                allowed = ", ".join(names)
                raise ValueError(f"no reset option {shown(name)}{hint}; allowed are: {allowed}")
        mask, elapsed = options.get("reset_mask"), options.get("elapsed_steps")
        mask = self._reset_mask(mask)
        return mask, None if elapsed is None else self._elapsed_steps(elapsed, mask)

    def _elapsed_steps(self, elapsed: Any, mask: np.ndarray) -> np.ndarray:
        elapsed = np.asarray(elapsed)
        if elapsed.dtype.kind not in "iu" or elapsed.shape != (self.num_envs,):
            raise ValueError(
                f"elapsed_steps must be integers of shape ({self.num_envs},), "
                f"got {elapsed.dtype} of shape {elapsed.shape}"
            )
        limit = self.config.max_episode_steps
        given = elapsed[mask]
        if not ((given >= 0) & (given < (limit or np.inf))).all():
            below = f" and below max_episode_steps={limit}" if limit else ""
            raise ValueError(
                f"elapsed_steps must be at least 0{below}, got {given.min()} to {given.max()}"
            )
        return elapsed

    def _reset_mask(self, mask: Any) -> np.ndarray:
        if mask is None:
            return self._every_row
        mask = np.asarray(mask)
        if mask.dtype != bool or mask.shape != (self.num_envs,):
            raise ValueError(
                f"reset_mask must be bool of shape ({self.num_envs},), "
                f"got {mask.dtype} of shape {mask.shape}"
            )
        if not mask.any():
            raise ValueError("reset_mask selects no environment: at least one must be True")
        return mask

    def _seed(self, seed: int | Sequence[int | None] | None, mask: np.ndarray) -> None:
        """Restart the streams of the rows in ``mask`` that are given a seed."""
        if seed is None:
            if not self._seeded:
                self._random.seed([secrets.randbits(64) for _ in range(self.num_envs)])
                self._seeded = True
            return
        if isinstance(seed, np.ndarray):
            seed = seed.tolist()
        seeds: list[int | None]
        if isinstance(seed, Sequence) and not isinstance(seed, str | bytes):
            seeds = [None if s is None else integer("each seed", s, 0, MAX_SEED) for s in seed]
            if len(seeds) != self.num_envs:
                need = f"need {self.num_envs} seeds, one per environment"
                raise ValueError(f"{need}, got {len(seeds)}")
        else:
            first = self._np_random_seed = integer("seed", seed, 0, MAX_SEED)
            seeds = [first + i for i in range(self.num_envs)]
        if not self._seeded and any(s is None for s in seeds):
            self._seed(None, mask)
        rows = [i for i, s in enumerate(seeds) if s is not None and mask[i]]
        self._random.seed([seeds[i] or 0 for i in rows], rows)
        self._seeded = True
        for name, buffer in self._declared.items():
            if buffer.lasts == "training":
                self.simulation.buffers[name][rows] = buffer.initial

    def _episode_state(self) -> dict[str, np.ndarray]:
        """The live arrays that, with the simulation's, decide the future."""
        return {
            "elapsed": self._elapsed,
            "started": self._started,
            "ended": self._ended,
            "observations": self._observations,
            "random_key": self._random.key,
            "random_count": self._random.count,
        } | self._frames.arrays


def check_actions(actions: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The actions of all environments as float32, clipped to [-1, 1].

    Raises:
        ValueError: if they have another shape or type, or are not finite, naming rows.
    """
    given = np.asarray(actions)
    if not np.can_cast(given.dtype, np.float32, "same_kind"):
        raise ValueError(f"actions must be real numbers, got an array of {given.dtype}")
    action = given.astype(np.float32, copy=False)
    if action.shape != shape:
        raise ValueError(f"actions must have shape {shape} (num_envs, act_dim), got {action.shape}")
    if not np.isfinite(action).all():
        rows = np.flatnonzero(~np.isfinite(action).all(axis=1))
        raise ValueError(f"actions of environments {_first_few(rows)} are not finite")
    return np.clip(action, -1.0, 1.0)


def _overridden(method: Any, default: Any) -> Any:
    """A task's method, if the task has overridden it; else None."""
    return None if method.__func__ is default else method


def _picture_size(given: Any) -> tuple[int, int]:
    try:
        width, height = (integer("render_size", side, 1, MAX_SIDE) for side in given)
    except (TypeError, ValueError):
        need = f"two integers (width, height) from 1 to {MAX_SIDE}"
        raise ValueError(f"render_size must be {need}, got {shown(given)}") from None
    return width, height


def _autoreset_mode(mode: AutoresetMode | str) -> AutoresetMode:
    if isinstance(mode, AutoresetMode):
        return mode
    for member in AutoresetMode:
        if str(mode).lower() in (member.name.lower(), member.value.lower()):
            return member
    names = ", ".join(member.name for member in AutoresetMode)
    raise ValueError(f"autoreset_mode must be one of {names}, got {shown(mode)}")


def _masked(entries: dict[str, Any], rows: np.ndarray) -> dict[str, Any]:
    """Add Gymnasium's ``_key`` masks, of the ``rows`` that have the entries."""
    return entries | {f"_{key}": rows.copy() for key in entries}


def _copy(info: Mapping[str, Any], mask: np.ndarray) -> dict[str, Any]:
    """The info of the rows in ``mask``; arrays are copied."""
    return {
        key: _copy(value, mask)
        if is_mapping(value)
        else (mask.copy() if key.startswith("_") else value.copy())
        for key, value in info.items()
        if not key.lstrip("_").startswith("final_")
    }


def _first_few(rows: np.ndarray) -> str:
    """The first few row numbers, for a message."""
    return ", ".join(str(row) for row in rows[:5]) + (", ..." if len(rows) > 5 else "")
