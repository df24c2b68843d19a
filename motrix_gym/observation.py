# SPDX-License-Identifier: Apache-2.0
"""Channels: the list that describes what a task observes.

A task lists its channels once. From the list follow the observation space, the array that ``step``
returns, noise, delay and history, the mirror, and what a stored policy says of its inputs.

In each step, after the physics, the rewards and the ends of episodes, all channels are read once.
What they read is a frame, and noise is added to it once. Observations are put together from the
newest frame and, for channels with a delay or a history, from earlier ones, which keep their noise.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from motrix_gym.names import did_you_mean, shown
from motrix_gym.symmetry import Mirror, Reflection
from motrix_gym.view import View

Read = Callable[[View], np.ndarray]


@dataclass(frozen=True)
class Channel:
    """Neighbouring entries of an observation, or of an action, which have one meaning and unit."""

    name: str
    unit: str = "1"
    size: int = 1
    """Entries that the channel has in one frame, which is what is read in one step."""
    read: Read | None = None
    """``read(view)`` returns the entries, (n, size), or (n,) for a single one. None for the
    channels of an action."""
    noise: float = 0.0
    """Half-width of the uniform noise, in the channel's unit, at ``observation_noise=1``."""
    delay: int = 0
    """Age of the newest observed frame, in steps."""
    history: int = 1
    """Number of frames that an observation holds, the newest first. At the start of an episode all
    of them are the first frame."""
    mirror: float | Sequence[float] | Reflection | str | None = None
    """What becomes of the channel when left and right are exchanged (its mirror image): a sign, a
    sign for each entry, a reflection of its entries, or the name of the channel with which it is
    exchanged, with "-" before the name if the signs change. None if the task has no mirror."""
    full_turn: bool = False
    """Whether it is the angle (rad) of a joint without limits. After a full turn such a joint is
    where it was, so its mirror image is shifted by 2 pi towards 0 (``Mirror.image``)."""
    privileged: bool = False
    """Whether only the value function may see it, in training. Privileged channels come last."""

    def __post_init__(self) -> None:
        """Check the numbers.

        Raises:
            ValueError: naming the channel, what was given and what is allowed.
        """
        for name, least in (("size", 1), ("history", 1), ("delay", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(
                    f"channel {shown(self.name)}: {name} must be an integer of at least {least}, "
                    f"got {shown(value)}"
                )
        if not self.noise >= 0:
            raise ValueError(f"channel {shown(self.name)}: noise must be at least 0: {self.noise}")

    @property
    def width(self) -> int:
        """Entries of an observation: those of all its frames."""
        return self.size * self.history


def read_together(read: Read, channels: Iterable[Channel]) -> list[Channel]:
    """Channels that one function reads at once, such as the angles of all joints, each by name.

    Args:
        read: ``read(view)`` returns (n, sum of the channels' sizes), in the order of the channels.
        channels: without ``read`` functions of their own.
    """
    channels = list(channels)
    sizes = tuple(channel.size for channel in channels)
    return [replace(c, read=_Part(read, sizes, i)) for i, c in enumerate(channels)]


@dataclass(frozen=True)
class _Part:
    """Reads one channel's columns of what a function reads for several channels."""

    whole: Read
    group: tuple[int, ...]  # sizes of all the channels
    index: int  # which of them it is

    def __call__(self, view: View) -> np.ndarray:
        start = sum(self.group[: self.index])
        return self.whole(view)[:, start : start + self.group[self.index]]


def check_channels(channels: Iterable[Channel], what: str) -> tuple[Channel, ...]:
    """The channels of an observation or an action as a tuple, checked.

    Args:
        channels: the list.
        what: "observation" or "action".

    Raises:
        ValueError: if two channels have the same name, an ordinary one follows a privileged one,
            or one of an observation has no ``read``. The message names the channel.
    """
    channels = tuple(channels)
    names: set[str] = set()
    privileged: str | None = None
    for channel in channels:
        name = shown(channel.name)
        if channel.name in names:
            raise ValueError(f"{what}: two channels have the name {name}")
        names.add(channel.name)
        if channel.privileged:
            privileged = name
        elif privileged:
            raise ValueError(
                f"{what}: channel {name} follows the privileged {privileged}; privileged ones "
                "come last"
            )
        if what == "observation" and channel.read is None:
            raise ValueError(f"{what}: channel {name} has no read function")
    return channels


class Frames:
    """Reads channels into frames, and makes observations with delay and history of the frames.

    Attributes:
        channels: the channels, in order.
        width: entries of an observation.
        noise: (size,) float32, each entry's half-width of noise; None if all are 0.
        arrays: the frames that later observations need, by name, (num_envs, ...) each.
    """

    def __init__(self, channels: Sequence[Channel], num_envs: int, noise: float = 0.0):
        """Prepare to read.

        Args:
            channels: checked ones.
            num_envs: number of rows.
            noise: multiplies each channel's noise.
        """
        self.channels = tuple(channels)
        self.width = sum(channel.width for channel in self.channels)
        self._size = sum(channel.size for channel in self.channels)
        self._reads = list(_reads(self.channels))
        widths = [np.full(c.size, c.noise, np.float32) for c in self.channels if not c.privileged]
        self.noise = np.concatenate([*widths, np.zeros(0, np.float32)]) * np.float32(noise)
        if not self.noise.any():
            self.noise = None
        depth = max((c.delay + c.history for c in self.channels), default=1)
        self.arrays: dict[str, np.ndarray] = {}
        if depth > 1:
            self.arrays["frames"] = np.zeros((num_envs, depth, self._size), np.float32)
            self._source = _sources(self.channels, self._size)

    def read(self, view: View) -> np.ndarray:
        """(n, size) float32, fresh: a frame of the state as it is, without noise."""
        frame = np.empty((view.n, self._size), np.float32)
        for read, part in self._reads:
            value = read(view)
            frame[:, part] = value if value.ndim > 1 else value[:, None]
        return frame

    def deliver(self, frame: np.ndarray, rows: Any, first: bool) -> np.ndarray:
        """The observations (n, width) of some rows, after their newest frame was read.

        Args:
            frame: (n, size) with noise.
            rows: which rows these are, a slice or an index array.
            first: whether it is the first frame of the rows' episodes.
        """
        if not self.arrays:
            return frame
        frames = self.arrays["frames"]
        if first:
            frames[rows] = frame[:, None]
        else:
            past = frames[rows, :-1]
            frames[rows, 1:] = past.copy() if isinstance(rows, slice) else past
            frames[rows, 0] = frame
        return np.take(frames[rows].reshape(len(frame), frames[0].size), self._source, axis=1)

    def check(self, view: View) -> None:
        """Read every channel once.

        Raises:
            ValueError: if one gives another shape than it should, naming it.
        """
        with np.errstate(all="ignore"):  # the state may be one that no episode has
            for read, part in self._reads:
                shape, size = np.shape(read(view)), part.stop - part.start
                if shape != (view.n, size) and (shape, size) != ((view.n,), 1):
                    ends = np.cumsum([channel.size for channel in self.channels])
                    here = [
                        channel.name
                        for channel, end in zip(self.channels, ends, strict=True)
                        if part.start < end <= part.stop
                    ]
                    names = ", ".join(here[:3]) + (", ..." if len(here) > 3 else "")
                    raise ValueError(
                        f"channel {names}: its read function gives shape {shape}, and it should "
                        f"give {(view.n, size)} (rows, size)"
                    )


def mirror(observation: Sequence[Channel], action: Sequence[Channel]) -> Mirror | None:
    """The mirror of a task with these channels; None if no channel has a mirror image.

    Raises:
        ValueError: if some channels have an image and another does not, or two images do not give
            the channel back. The message names the channel.
    """
    if all(channel.mirror is None for channel in (*observation, *action)):
        return None
    turns: list[int] = []
    start = 0
    for channel in observation:
        if channel.full_turn:
            turns += range(start, start + channel.width)
        start += channel.width
    return Mirror(_reflection(observation), _reflection(action), tuple(turns))


def _reads(channels: Sequence[Channel]) -> Iterator[tuple[Read, slice]]:
    """Each read function, and the entries of a frame that it fills.

    Channels that are read together (``read_together``) need one call.
    """
    start = i = 0
    while i < len(channels):
        read, count = channels[i].read, 1
        assert read is not None
        if isinstance(read, _Part):
            parts = [c.read for c in channels[i : i + len(read.group)]]
            if parts == [replace(read, index=k) for k in range(len(read.group))]:
                read, count = read.whole, len(parts)
        size = sum(channel.size for channel in channels[i : i + count])
        yield read, slice(start, start + size)
        start, i = start + size, i + count


def _sources(channels: Sequence[Channel], size: int) -> np.ndarray:
    """For each entry of an observation, its index in the stored frames, laid end to end."""
    sources: list[int] = []
    start = 0
    for channel in channels:
        for age in range(channel.delay, channel.delay + channel.history):
            sources += range(age * size + start, age * size + start + channel.size)
        start += channel.size
    return np.array(sources)


def _reflection(channels: Sequence[Channel]) -> Reflection:
    """The reflection of all the channels' entries."""
    starts: dict[str, int] = {}
    start = 0
    for channel in channels:
        starts[channel.name] = start
        start += channel.width
    by_name = {channel.name: channel for channel in channels}
    source: list[int] = []
    sign: list[float] = []
    for channel in channels:
        image = _image(channel, by_name)
        other = _exchanged_with(channel)
        origin = starts[other if other is not None else channel.name]
        for frame in range(channel.history):
            source += [origin + frame * channel.size + i for i in image.source]
            sign += image.sign
    return Reflection(tuple(source), tuple(sign))


def _exchanged_with(channel: Channel) -> str | None:
    """The name of the channel with which the mirror exchanges a channel, if with any."""
    return channel.mirror.removeprefix("-") if isinstance(channel.mirror, str) else None


def _image(channel: Channel, by_name: dict[str, Channel]) -> Reflection:
    """The reflection of a channel's entries, or of those that it is exchanged with."""
    given, name = channel.mirror, shown(channel.name)
    if given is None:
        raise ValueError(f"channel {name} has no mirror, and others have: give it its sign")
    if isinstance(given, str):
        twin, sign = _exchanged_with(channel), -1.0 if given.startswith("-") else 1.0
        other = by_name.get(twin or "")
        if other is None:
            hint = did_you_mean(twin, by_name)
            raise ValueError(
                f"channel {name} mirrors {shown(twin)}: there is no such channel{hint}"
            )
        back = f"-{channel.name}" if sign < 0 else channel.name
        if other.mirror != back:
            raise ValueError(
                f"channel {name} mirrors {shown(given)}, which does not mirror it: its mirror must "
                f"be {back!r}, not {shown(other.mirror)}"
            )
        if (other.size, other.history, other.delay) != (
            channel.size,
            channel.history,
            channel.delay,
        ):
            raise ValueError(f"channels {name} and {shown(given)} mirror one another and differ")
        return Reflection(tuple(range(channel.size)), (sign,) * channel.size)
    if not isinstance(given, Reflection):
        signs = (given,) * channel.size if isinstance(given, int | float) else tuple(given)
        given = Reflection(tuple(range(len(signs))), tuple(map(float, signs)))
    if len(given.source) != channel.size:
        size = len(given.source)
        raise ValueError(f"channel {name} has {channel.size} entries, and its mirror {size}")
    return given
