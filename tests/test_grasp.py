# SPDX-License-Identifier: Apache-2.0
"""Grasps by script: the physics holds what the pads hold (``python -m tests.benchmarks.grasps``).

The limits are those that a grasp must keep to be of use, and not what this processor gives: a
millimetre of slip is usual.
"""

import mujoco
import numpy as np
import pytest
from grasping import LIFT_SCENE, grasp


@pytest.fixture
def model():
    return mujoco.MjModel.from_xml_path(str(LIFT_SCENE))


def test_a_scripted_grasp_holds_a_cube_that_is_turned(model):
    found = grasp(model, 48)
    assert found.held.all()
    assert found.slip.max() < 0.003
    assert found.turn.max() < np.radians(5)
    assert found.penetration.max() < 0.0005
    assert found.speed.max() < 0.001  # no trembling


def test_a_hand_that_is_not_turned_with_the_cube_holds_it_too(model):
    assert grasp(model, 16, seed=1, align=False).held.all()


def test_a_solver_that_stops_too_early_is_seen(model):
    """What the tests above are for: with these settings hands lose most cubes, in silence."""
    model.opt.ls_iterations = 10
    assert grasp(model, 8).held.mean() < 0.5
