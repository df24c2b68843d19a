# SPDX-License-Identifier: Apache-2.0
"""Navigation with the suite's robots.

v0: first version.
"""

from functools import partial

from motrix_gym.tasks.locomotion import anymal_c
from motrix_gym.tasks.locomotion.vbot import VBOT
from motrix_gym.tasks.navigation import pose_goal
from motrix_gym.tasks.navigation.arena import Arena
from motrix_gym.tasks.navigation.course import Course
from motrix_gym.tasks.navigation.pose_goal import PoseGoal

ANYMAL_C_FLAT = pose_goal.FLAT.override(**anymal_c.GAIT)
AnymalC = partial(PoseGoal, robot=anymal_c.ANYMAL_C)
VBotFlat = partial(PoseGoal, robot=VBOT)
VBotSection001 = partial(Arena, robot=VBOT)
VBotSection011 = partial(Course, robot=VBOT)
VBotSection012 = partial(Course, robot=VBOT)
VBotSection013 = partial(Course, robot=VBOT)
VBotSection002 = partial(Course, robot=VBOT)
