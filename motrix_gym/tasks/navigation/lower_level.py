# SPDX-License-Identifier: Apache-2.0
"""A stored policy that walks by velocity commands, through which a task acts.

The task's own action is then a command. It chooses where to go, and the stored policy how to move
the legs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from motrix_gym.names import shown
from motrix_gym.observation import Channel
from motrix_gym.policy import Policy
from motrix_gym.settings import FieldError


def load_lower_level(
    folder: str,
    observation: Sequence[Channel],
    action: Sequence[Channel],
    deployment: Mapping[str, Any],
) -> Policy:
    """Reads a policy, and checks that it walks a task's robot.

    Args:
        folder: of the policy.
        observation: the channels that it must see, in order.
        action: the channels of its action.
        deployment: how the task computes these, as ``Task.deployment`` describes it.

    Raises:
        PolicyError: (a ValueError) if it cannot be read.
        FieldError: (a ValueError) if it sees or does something else, naming what.
    """
    policy = Policy.load(folder)
    about: Any = policy.metadata
    deployed: Any = about.get("deployment") or {}
    wanted: dict[str, Any] = {"observation": _sizes(observation), "action": _sizes(action)}
    found: dict[str, Any] = {kind: _stored_sizes(about.get(kind)) for kind in wanted}
    for name in ("action", "gait_clock"):
        wanted[f"{name} of the deployment"] = deployment[name]
        found[f"{name} of the deployment"] = deployed.get(name)
    for what, needed in wanted.items():
        if found[what] != needed:
            raise FieldError(
                "lower_level",
                f"lower_level={shown(folder)} is a policy for {shown(about.get('env_id'))}, which "
                f"does not walk this robot as it is set: its {what} differs",
            )
    return policy


def _sizes(channels: Sequence[Channel]) -> list[tuple[Any, Any]]:
    return [(channel.name, channel.size) for channel in channels]


def _stored_sizes(channels: Any) -> list[tuple[Any, Any]]:
    return [(channel.get("name"), channel.get("size")) for channel in channels or ()]
