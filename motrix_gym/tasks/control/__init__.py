# SPDX-License-Identifier: Apache-2.0
"""Continuous control: the tasks of dm_control's suite, and a ball to keep in the air."""
