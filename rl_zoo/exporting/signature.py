# SPDX-License-Identifier: Apache-2.0
"""The function that an exported policy is: its inputs, its outputs, and its memory.

    action, target, memory' = step(observation, start, memory)

`observation` is one frame: the newest values of all channels, in their units. Normalising, the
history of past frames and the scaling of actions are inside of the function. Memory is the past
frames, if a channel has a history, and the state of the LSTM, if there is one. Where `start` is
true an episode begins, and the memory given is not read.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from motrix_gym import Policy
from rl_zoo.errors import ZooError


@dataclass(frozen=True)
class Target:
    """What an actuator is given: clip(offset + scale * action, low, high), (act,) each."""

    offset: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def __call__(self, action: np.ndarray) -> np.ndarray:
        """Returns the target of an action."""
        return np.clip(self.offset + self.scale * action, self.low, self.high)


@dataclass(frozen=True)
class Signature:
    """Sizes of an exported policy's inputs, outputs and memory.

    Attributes:
        frame: Entries of an observation, which is one frame.
        depth: Frames that are remembered, the newest one included; 1 if no channel has a history.
        sources: (policy's observation size,) for each entry that the network sees, its index in
            the remembered frames, laid end to end with the newest first.
        lstm: Units of each LSTM layer.
        target: How actions become the actuators' targets; None if the task does not say.
    """

    frame: int
    depth: int
    sources: np.ndarray
    lstm: tuple[int, ...]
    target: Target | None

    @property
    def memory(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the memory by name, without the axis of rows."""
        frames = {"frames": (self.depth, self.frame)} if self.depth > 1 else {}
        states = {f"{part}{i}": (n,) for i, n in enumerate(self.lstm) for part in ("h", "c")}
        return {**frames, **states}


def signature(policy: Policy) -> Signature:
    """Returns the signature of a policy.

    Raises:
        ZooError: The policy does not say what its channels are, or says what does not fit it.
    """
    channels = policy.metadata.get("observation") or ()
    frame = sum(channel["size"] for channel in channels)
    depth = max((channel.get("history", 1) for channel in channels), default=1)
    sources: list[int] = []
    start = 0
    for channel in channels:
        for age in range(channel.get("history", 1)):
            first = age * frame + start
            sources += range(first, first + channel["size"])
        start += channel["size"]
    if len(sources) != policy.observation_size:
        raise ZooError(
            f"the policy sees {policy.observation_size} numbers, and names channels for "
            f"{len(sources)} of them: it was not saved by this program"
        )
    lstm = tuple(recurrent.shape[0] for _, recurrent, _ in policy.lstm)
    return Signature(frame, depth, np.array(sources), lstm, _target(policy))


def newest(policy: Policy, observations: np.ndarray) -> np.ndarray:
    """Returns the newest frame (n, frame) that an environment's observations (n, obs) hold."""
    columns: list[int] = []
    start = 0
    for channel in policy.metadata["observation"]:
        columns += range(start, start + channel["size"])
        start += channel["size"] * channel.get("history", 1)
    return observations[:, columns]


def _target(policy: Policy) -> Target | None:
    deployment: dict[str, Any] = policy.metadata.get("deployment") or {}
    action = deployment.get("action") or {}
    if not {"offset", "scale"} <= action.keys():
        return None
    size = policy.action_size
    limits = deployment.get("actuators", {}).get("target_range", [[-np.inf, np.inf]] * size)
    offset, scale, low, high = (
        np.broadcast_to(np.asarray(part, np.float32), size)
        for part in (action["offset"], action["scale"], *np.transpose(limits))
    )
    return Target(offset, scale, low, high)
