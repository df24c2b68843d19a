# SPDX-License-Identifier: Apache-2.0
"""The suite's tasks, by family. Each family registers its own; importing it imports no task."""

from motrix_gym.tasks import basic, control, locomotion, manipulation, navigation

__all__ = ["basic", "control", "locomotion", "manipulation", "navigation"]
