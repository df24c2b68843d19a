# SPDX-License-Identifier: Apache-2.0
"""The channels of observations, by name: those of a stored policy, and of an environment."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from motrix_gym.names import shown
from motrix_gym.policy import Policy

Channels = dict[str, tuple[int, int]]  # name -> size of a frame, and number of frames


def stored_channels(policy: Policy) -> Channels:
    """Returns the channels in a policy's metadata, {} if their sizes are not that of its input."""
    channels: Channels = {}
    about = policy.metadata.get("observation")
    for entry in about if isinstance(about, list) else ():
        if not isinstance(entry, dict):
            return {}
        name, form = entry.get("name"), (entry.get("size"), entry.get("history", 1))
        if not isinstance(name, str) or any(type(n) is not int or n < 1 for n in form):
            return {}
        channels[name] = form  # pyright: ignore[reportArgumentType]
    return channels if _width(channels) == policy.observation_size else {}


def env_channels(env: VectorEnv, width: int) -> Channels:
    """Returns the channels of the first `width` entries of an environment's observations.

    {} if the environment names no channels, or none that end there.
    """
    unwrapped: Any = env.unwrapped
    channels: Channels = {}
    for channel in getattr(unwrapped, "channels", ()):
        if _width(channels) == width:
            break
        channels[channel.name] = (channel.size, channel.history)
    return channels if _width(channels) == width else {}


def entries_seen(stored: Channels, there: Channels) -> np.ndarray:
    """Returns which entries of an observation a policy sees, in the policy's order.

    Args:
        stored: The policy's channels.
        there: Those of the observation.

    Raises:
        ValueError: the observation lacks one of the policy's channels, or has it in another form.
    """
    if missing := [channel for channel in stored if channel not in there]:
        raise ValueError(f"this training's task has no channel {', '.join(map(shown, missing))}")
    for channel, form in stored.items():
        if form != there[channel]:
            raise ValueError(
                f"channel {shown(channel)} has (size, history) {form} in the policy and "
                f"{there[channel]} in this training"
            )
    places = _places(there)
    return np.concatenate([places[channel] for channel in stored])


def _places(channels: Channels) -> dict[str, np.ndarray]:
    """Returns the indices of each channel's entries in an observation."""
    found, start = {}, 0
    for name, (size, history) in channels.items():
        found[name] = np.arange(start, start + size * history)
        start += size * history
    return found


def _width(channels: Channels) -> int:
    return sum(size * history for size, history in channels.values())
