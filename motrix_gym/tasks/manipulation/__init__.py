# SPDX-License-Identifier: Apache-2.0
"""Manipulation: a Franka Panda that grasps."""
