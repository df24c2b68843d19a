# SPDX-License-Identifier: Apache-2.0
"""`LeggedRobot`: what is read from a model, and the messages for a model that cannot work."""

import dataclasses

import mujoco
import numpy as np
import pytest

from motrix_gym import MotrixVectorEnv
from motrix_gym.tasks.locomotion.go1 import GO1
from motrix_gym.tasks.locomotion.robot import (
    LeggedRobot,
    foot_mirror,
    joint_mirror,
    joint_names,
    sideways_joints,
)
from motrix_gym.tasks.locomotion.velocity import FLAT, VelocityTracking
from motrix_gym.view import unknown

# Two legs of two joints and an arm, a waist between them: no quadruped.
BIPED = """
<mujoco>
  <worldbody>
    <geom type="plane" size="5 5 .1"/>
    <body name="base" pos="0 0 .5"><freejoint/>
      <geom size=".1" mass="5"/>
      <body name="left" pos="0 .1 0">
        <joint name="left_hip" axis="1 0 0"/><joint name="left_knee" axis="0 1 0"/>
        <geom name="L" size=".03" pos="0 0 -.4" mass="1"/><site name="L" size=".04" pos="0 0 -.4"/>
      </body>
      <body name="right" pos="0 -.1 0">
        <joint name="right_hip" axis="-1 0 0"/><joint name="right_knee" axis="0 1 0"/>
        <geom name="R" size=".03" pos="0 0 -.4" mass="1"/><site name="R" size=".04" pos="0 0 -.4"/>
      </body>
      <body name="torso" pos="0 0 .1">
        <joint name="waist" axis="0 0 1"/><geom size=".05" mass="1"/>
        <body name="arm" pos=".1 0 0">
          <joint name="elbow" axis="0 1 0"/><joint name="reach" type="slide" axis="0 1 0"/>
          <geom size=".02" mass=".1"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <position joint="left_hip" kp="20"/><position joint="left_knee" kp="20"/>
    <position joint="right_hip" kp="20"/><position name="knee" joint="right_knee" kp="20"/>
    <position joint="waist" kp="20"/>
    <position joint="elbow" kp="20"/><position joint="reach" kp="20"/>
  </actuator>
  <sensor><touch name="L_touch" site="L"/><touch name="R_touch" site="R"/></sensor>
  <keyframe><key name="home" qpos="0 0 .43 1 0 0 0 0 0 0 0 0 0 0"/></keyframe>
</mujoco>
"""


@pytest.fixture
def robot(tmp_path):
    """Make a robot of a changed model."""

    def robot(*changes, **attributes):
        xml = BIPED
        for old, new in changes:
            assert old in xml
            xml = xml.replace(old, new)
        path = tmp_path / "biped.xml"
        path.write_text(xml)
        value = LeggedRobot(model_file=path, feet=("L", "R"), gait_offsets=(0.0, 0.5))
        return dataclasses.replace(value, **attributes)

    return robot


def test_a_robot_of_any_limbs_has_the_task(robot):
    task = VelocityTracking(FLAT, robot())
    assert [channel.name for channel in task.action] == [
        f"{name}_offset" for name in joint_names(task.model)
    ]
    env = MotrixVectorEnv(task, 4, num_threads=1)
    assert env.single_observation_space.shape == (14 + 3 * 7,)
    env.reset(seed=0)
    observations, *_ = env.step(np.zeros((4, 7)))
    assert np.isfinite(observations).all()


def test_the_mirror_is_read_from_the_model(robot):
    model = robot().compile()
    assert joint_names(model) == (
        "left_hip", "left_knee", "right_hip", "right_knee", "waist", "elbow", "reach"
    )  # fmt: skip
    mirror = joint_mirror(model)
    assert mirror is not None
    assert mirror.source == (2, 3, 0, 1, 4, 5, 6)
    # The hips' axes point away from one another, so the same angle is the mirrored one; a waist
    # turns the other way, a joint about y the same, and a slide along y goes the other way.
    assert mirror.sign == (1, 1, 1, 1, -1, 1, -1)
    assert foot_mirror(model, ("L", "R")) == [1, 0]
    assert sideways_joints(model).tolist() == [0, 2]


def test_without_a_twin_there_is_no_mirror(robot):
    lame = robot(('<body name="right" pos="0 -.1 0">', '<body name="right" pos=".02 -.1 0">'))
    assert joint_mirror(lame.compile()) is None
    assert VelocityTracking(FLAT, lame).mirror is None
    together = robot(gait_offsets=(0.0, 0.0))  # not its own image half a cycle later
    assert joint_mirror(together.compile()) is not None
    assert VelocityTracking(FLAT, together).mirror is None


def test_go1_is_mirrored_leg_by_leg():
    mirror = joint_mirror(GO1.compile())
    assert mirror is not None
    assert mirror.source == (3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8)
    assert mirror.sign == (-1, 1, 1) * 4


MOTOR = '<motor name="knee" joint="right_knee"/>'
SWAPPED = (
    '<position joint="left_hip" kp="20"/><position joint="left_knee" kp="20"/>',
    '<position joint="left_knee" kp="20"/><position joint="left_hip" kp="20"/>',
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (SWAPPED, "in the order of the joints: .*actuators of left_knee, left_hip"),
        (('<position joint="waist" kp="20"/>', ""), "one actuator for each joint"),
        (
            (
                '<position name="knee" joint="right_knee" kp="20"/>',
                '<motor name="knee" joint="right_knee"/>',
            ),
            r"actuator 'knee' must be a position actuator \(<position>\)",
        ),
        (("<freejoint/>", '<joint name="slide" type="slide"/>'), "must be the free joint"),
        (('<key name="home"', '<key name="hom"'), "no keyframe 'home': did you mean 'hom'"),
        (('<site name="R" size=".04"', '<site name="R" size=".02"'), "site 'R' does not enclose"),
        (
            ('name="R_touch" site="R"', 'name="R_touch" site="L"'),
            "'R_touch' must be a touch sensor",
        ),
        (('name="R_touch"', 'name="R_tuoch"'), "no sensor 'R_touch': did you mean 'R_tuoch'"),
        (('<geom name="R"', '<geom name="foot"'), "no geom 'R'"),
    ],
)
def test_a_robot_that_cannot_work_is_told_so(robot, change, message):
    if "freejoint" in change[0]:
        changes = [change, ("0 0 .43 1 0 0 0 0 0 0 0 0 0 0", "0 0 0 0 0 0 0 0")]
    else:
        changes = [change]
    with pytest.raises(ValueError, match=f"biped.xml: .*{message}"):
        VelocityTracking(FLAT, robot(*changes))


def test_offsets_of_the_gait_are_shares_of_the_cycle(robot):
    with pytest.raises(ValueError, match="in cycles, from 0 to 1, got 0, 180"):
        robot(gait_offsets=(0.0, 180.0)).compile()


def test_what_has_no_name_is_not_listed():
    assert unknown("geom", "R", ["", "", "floor"]) == "no geom 'R': there are floor"
    assert unknown("geom", "R", ["", ""]) == "no geom 'R': there are none"


def test_feet_and_offsets_must_be_as_many(robot):
    with pytest.raises(ValueError, match="2 feet and 3 gait offsets"):
        VelocityTracking(FLAT, robot(gait_offsets=(0.0, 0.5, 0.5)))


def test_without_a_tracking_camera_it_is_drawn_from_a_free_one(robot):
    assert VelocityTracking(FLAT, robot()).camera == -1
    assert VelocityTracking(FLAT, GO1).camera == "track"


def test_importing_the_suite_compiles_nothing_and_imports_no_task(python):
    python("""
import sys
import mujoco, mujoco.batch
def refuse(*_):
    raise AssertionError("compiled")
for name in ("from_xml_path", "from_xml_string"):
    setattr(mujoco.MjModel, name, refuse)
mujoco.MjSpec.compile = refuse
import gymnasium
import motrix_gym
assert len(motrix_gym.list_envs()) > 10
assert gymnasium.spec("Motrix/Go1-v0").max_episode_steps == 1000
families = {"basic", "control", "locomotion", "manipulation", "navigation"}
loaded = {name.removeprefix("motrix_gym.tasks.") for name in sys.modules if ".tasks." in name}
assert loaded == families, loaded
""")


def test_what_specs_say_of_time_limits_is_so():
    import gymnasium

    from motrix_gym import list_envs, registration

    for env_id in list_envs():
        steps = registration.entry(env_id).config.max_episode_steps
        assert gymnasium.spec(env_id).max_episode_steps == steps


def test_the_free_joint_alone_is_no_robot(tmp_path):
    path = tmp_path / "stone.xml"
    path.write_text('<mujoco><worldbody><geom size="1"/></worldbody></mujoco>')
    assert mujoco.MjModel.from_xml_path(str(path)).njnt == 0
    with pytest.raises(ValueError, match="stone.xml: the first joint must be the free joint"):
        VelocityTracking(FLAT, LeggedRobot(path, (), ()))
