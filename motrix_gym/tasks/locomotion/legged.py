# SPDX-License-Identifier: Apache-2.0
"""What all tasks of legged robots share: the robot, its actuation, its senses, its gait.

A command (vx, vy, wz) says how the robot should move, and a clock which feet should be in the air
meanwhile. Where the command comes from, and what else is rewarded, is a task's own: ``velocity``
draws commands at random and rewards following them.

Observation, in the frame of the robot's base (x forward, y left, z up), in this order, with n
the number of joints:

    base linear velocity (3, m/s), base angular velocity (3, rad/s), projected gravity (3),
    joint positions minus the default pose (n, rad), joint velocities (n, rad/s),
    last action (n), command (3: vx m/s, vy m/s, wz rad/s),
    gait clock (2: sine and cosine of its phase, 0 while the robot should stand)

Action (n): position targets of the joints, as offsets from the default pose in units of
``action_scale``. Rewards: ``rewards`` below, most of them one function each in ``terms``. The
episode terminates when the base tilts beyond ``max_tilt``.

Sources: the reward terms are those of legged_gym (Rudin et al., "Learning to walk in minutes",
2021) as MotrixLab uses them; the gait clock follows Siekmann et al., "Sim-to-real learning of
all common bipedal gaits", 2021.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import mujoco
import numpy as np

from motrix_gym import rotations
from motrix_gym.observation import Channel
from motrix_gym.random import RowRandom
from motrix_gym.rewards import sum_of_squares
from motrix_gym.settings import choice, interval, number, weights
from motrix_gym.symmetry import Reflection
from motrix_gym.task import Buffer, Metric, Task, TaskConfig
from motrix_gym.tasks.locomotion import terms
from motrix_gym.tasks.locomotion.robot import (
    HOME,
    LeggedRobot,
    foot_mirror,
    joint_mirror,
    joint_names,
    sideways_joints,
)
from motrix_gym.view import View


@dataclass(frozen=True, kw_only=True)
class LeggedConfig(TaskConfig):
    """Settings of all tasks of legged robots."""

    observation_noise: float = 1.0
    action_scale: float = number(0.5, above=0)
    """Joint offset at action 1 (rad)."""
    gait_frequency: float = number(2.5, above=0)
    """Cycles of the gait per second."""
    standing_speed: float = number(0.3, least=0)
    """Speed above which a robot that is asked to stand still takes steps (m/s)."""
    swing_share: float = number(0.45, above=0, below=1)
    """Share of the cycle that a foot spends in the air."""
    swing_height: float = number(0.08, least=0)
    """Height of a foot above the ground in the middle of its swing (m)."""
    air_time_target: float = number(0.15, least=0)
    """Time in the air from which a foot's touchdown is rewarded (s)."""
    max_tilt: float = number(np.pi / 3, above=0)
    """Tilt of the base from upright at which the robot counts as fallen (rad)."""
    friction: tuple[float, float] = interval(0.4, 1.0, above=0)
    """Range of the feet's sliding friction, drawn per episode."""
    friction_cone: str = choice("pyramidal", "pyramidal", "elliptic")
    """How contacts limit friction: "elliptic" is closer to Coulomb's law, and slower."""
    start_joint_spread: float = number(0.15, least=0)
    """Half-width of the start's joint offsets (rad)."""
    start_velocity_spread: float = number(0.5, least=0)
    """Half-width of the start's base velocities (m/s, rad/s)."""
    reward_weights: Mapping[str, float] = weights(
        gait=1.0,
        swing_height=-20.0,
        air_time=1.0,
        slip=-0.1,
        vertical_velocity=-1.0,
        roll_pitch_rate=-0.05,
        orientation=-4.0,
        base_height=-30.0,
        pose=-0.1,
        abduction=-0.3,
        stand_still=-0.5,
        torque=-2e-4,
        joint_acceleration=-1e-7,
        action_rate=-0.02,
        fall=-10.0,
    )


_CONES = {
    "pyramidal": mujoco.mjtCone.mjCONE_PYRAMIDAL,
    "elliptic": mujoco.mjtCone.mjCONE_ELLIPTIC,
}


class LeggedTask(Task):
    """A task of a legged robot, without a command of its own; the base of others.

    The module's docstring has the observation and the action.

    Attributes:
        robot: the robot.
        qpos_joints: where in ``qpos`` its joints are.
        qvel_joints: where in ``qvel``.
    """

    config: LeggedConfig
    derived = ("site_xpos", "actuator_force")
    per_world = ("geom_friction",)
    metrics = {"fall": Metric("1", "max", "whether the robot has fallen", rate=True)}
    randomized = {
        "friction": (0.3, 1.2),
        "randomization.mass": (0.9, 1.3),
        "randomization.motor_strength": (0.8, 1.2),
        "randomization.damping": (0.5, 2.0),
        "randomization.dry_friction": (0.0, 0.2),
        "randomization.action_delay": (0, 1),
        "randomization.push_speed": 0.5,
    }
    changes = {
        **{f"friction {x:g}": {"friction": (x, x)} for x in (0.2, 0.4, 0.8, 1.2)},
        **{f"mass {x - 1:+.0%}": {"randomization.mass": (x, x)} for x in (0.9, 1.1, 1.2, 1.3)},
        **{
            f"motor strength {x:g}": {"randomization.motor_strength": (x, x)}
            for x in (0.8, 0.9, 1.1, 1.2)
        },
        **{f"delay of {n} steps": {"randomization.action_delay": (n, n)} for n in (1, 2)},
        **{f"pushes of {x:g} m/s": {"randomization.push_speed": x} for x in (0.5, 1.0)},
        "stiff joints": {
            "randomization.damping": (4.0, 4.0),
            "randomization.dry_friction": (0.2, 0.2),
            "friction_cone": "elliptic",
        },
    }

    def __init__(self, config: LeggedConfig, robot: LeggedRobot):
        """Compile the robot's model and look up what the functions need.

        Raises:
            ValueError: if the robot cannot work, saying why.
        """
        self.robot = robot
        super().__init__(config)
        model = self.model
        model.opt.cone = int(_CONES[config.friction_cone])
        home = model.keyframe(HOME)
        self.home_qpos = home.qpos.copy()
        # Other bodies of a scene come after the robot.
        self.qpos_joints, self.qvel_joints = slice(7, 7 + model.nu), slice(6, 6 + model.nu)
        self.default_pose = home.qpos[self.qpos_joints].copy()
        self.stand_height = float(home.qpos[2])
        self.foot_geoms = [model.geom(foot).id for foot in robot.feet]
        self.foot_sites = [model.site(foot).id for foot in robot.feet]
        self.foot_radius = np.array([model.geom(foot).size[0] for foot in robot.feet])
        self.touch = [int(model.sensor(f"{foot}_touch").adr[0]) for foot in robot.feet]
        self.gait_offsets = np.array(robot.gait_offsets)
        self.sideways_joints = sideways_joints(model)
        self.min_up = np.cos(config.max_tilt)
        cameras = [model.cam(i).name for i in range(model.ncam)]
        self.camera = robot.camera if robot.camera in cameras else -1

    def build_model(self) -> mujoco.MjModel:
        """The robot's."""
        return self.robot.compile()

    def observation_channels(self) -> list[Channel]:
        """What the module's docstring lists."""
        n, joints = self.model.nu, self._joint_mirror
        has = joints is not None

        def image(*signs: float) -> tuple[float, ...] | None:
            return signs if has else None

        return [
            # Mirrored in y = 0: a vector changes along y; a rate, an axial vector, along x and z.
            Channel(
                "base_linear_velocity",
                "m/s",
                3,
                lambda v: v.cached(self._linear_velocity),
                noise=0.1,
                mirror=image(1, -1, 1),
            ),
            Channel(
                "base_angular_velocity",
                "rad/s",
                3,
                lambda v: v.qvel[:, 3:6],
                noise=0.2,
                mirror=image(-1, 1, -1),
            ),
            Channel(
                "projected_gravity",
                "1",
                3,
                lambda v: v.cached(self._gravity),
                noise=0.05,
                mirror=image(1, -1, 1),
            ),
            Channel("joint_positions", "rad", n, self._pose, noise=0.03, mirror=joints),
            Channel(
                "joint_velocities",
                "rad/s",
                n,
                lambda v: v.qvel[:, self.qvel_joints],
                noise=1.5,
                mirror=joints,
            ),
            Channel("last_action", "1", n, lambda v: v.action, mirror=joints),
            Channel("command", "m/s, m/s, rad/s", 3, lambda v: v.command, mirror=image(1, -1, -1)),
            Channel("gait_clock", "1", 2, self._gait_clock, mirror=image(-1, -1)),
        ]

    def action_channels(self) -> list[Channel]:
        """Offsets of the joints' targets."""
        names, joints = joint_names(self.model), self._joint_mirror
        if joints is None:
            return [Channel(f"{name}_offset", "action_scale rad") for name in names]
        images = [
            f"{'-' if sign < 0 else ''}{names[source]}_offset"
            for source, sign in zip(joints.source, joints.sign, strict=True)
        ]
        return [
            Channel(f"{name}_offset", "action_scale rad", mirror=image)
            for name, image in zip(names, images, strict=True)
        ]

    @cached_property
    def _joint_mirror(self) -> Reflection | None:
        """The reflection of joints, if the gait is its own mirror image half a cycle later."""
        opposite = foot_mirror(self.model, self.robot.feet)
        if opposite is None:
            return None
        offsets = np.array(self.robot.gait_offsets)
        half = np.allclose((offsets[opposite] - offsets) % 1.0, 0.5)
        return joint_mirror(self.model) if half else None

    def deployment(self) -> dict[str, Any]:
        """Returns what a robot's own control loop needs; see ``Task.deployment``.

        Indices of ``qpos`` and ``qvel`` are MuJoCo's; ``to_base`` turns a vector from the world's
        frame to the base's.
        """
        model, config = self.model, self.config
        pose = self.default_pose.tolist()
        return super().deployment() | {
            "joints": list(joint_names(model)),
            "default_pose": pose,
            "observation": {
                "base_linear_velocity": {"frame": "base", "value": "to_base(qvel[0:3])"},
                "base_angular_velocity": {"frame": "base", "value": "qvel[3:6]"},
                "projected_gravity": {"frame": "base", "value": "to_base((0, 0, -1))"},
                "joint_positions": {"value": "qpos[7:] - offset", "offset": pose},
                "joint_velocities": {"value": "qvel[6:]"},
                "last_action": {"value": "the action before, in -1 to 1; 0 at first"},
                "command": {"frame": "base", "value": "forward, left, turn to the left"},
                "gait_clock": {"value": "sin(2 pi phase), cos(2 pi phase); 0, 0 while standing"},
            },
            "action": {
                "value": "joint position target = offset + scale * action",
                "offset": pose,
                "scale": config.action_scale,
            },
            "actuators": {
                "value": "torque = kp * (target - position) - kv * velocity, within torque_limit",
                "kp": model.actuator_gainprm[:, 0].tolist(),
                "kv": (-model.actuator_biasprm[:, 2]).tolist(),
                "torque_limit": model.actuator_forcerange[:, 1].tolist(),
                "target_range": model.actuator_ctrlrange.tolist(),
            },
            "gait_clock": {
                "phase": "any from 0 to 1 at first; (phase + frequency * control_timestep) mod 1 "
                "after each control step",
                "frequency": config.gait_frequency,
                "standing": "the command is 0 and the base's horizontal speed is at most "
                "standing_speed",
                "standing_speed": config.standing_speed,
            },
            "units": {
                "control_timestep": "s",
                "control_rate": "Hz",
                "default_pose": "rad",
                "scale": "rad",
                "kp": "N m/rad",
                "kv": "N m s/rad",
                "torque_limit": "N m",
                "target_range": "rad",
                "frequency": "Hz",
                "standing_speed": "m/s",
            },
        }

    def buffers(self) -> Mapping[str, Buffer]:
        """Actions, timers and what the last step saw."""
        n, feet = self.model.nu, len(self.robot.feet)
        return {
            "action": Buffer((n,)),
            "last_action": Buffer((n,)),
            "last_joint_velocity": Buffer((n,)),
            "command": Buffer((3,)),
            "gait_phase": Buffer(),
            "air_time": Buffer((feet,)),
            "last_foot_position": Buffer((feet, 2), initial=np.nan),  # unknown before a step
        }

    def reset(self, v: View, rng: RowRandom) -> None:
        """Near the default pose, any heading, small velocities, a new friction; no command."""
        config, n = self.config, self.model.nu
        v.qpos = self.home_qpos
        v.qpos[:, 3:7] = rotations.from_yaw(rng.uniform(-np.pi, np.pi))
        v.qpos[:, self.qpos_joints] += rng.uniform(
            -config.start_joint_spread, config.start_joint_spread, n
        )
        spread = config.start_velocity_spread
        v.qvel[:, :6] = rng.uniform(-spread, spread, 6)
        v.geom_friction[:, self.foot_geoms, 0] = rng.uniform(*config.friction)[:, None]
        v.ctrl = self.default_pose
        self._first_command(v, rng)
        v.gait_phase = rng.uniform()

    def _first_command(self, v: View, rng: RowRandom) -> None:
        """Write the first command of the view's rows; 0 stands still."""

    def act(self, v: View, action: np.ndarray) -> None:
        """Position targets: the default pose plus the scaled action."""
        v.last_action = v.action
        v.action = action
        v.ctrl = self.default_pose + self.config.action_scale * action

    def terminated(self, v: View) -> np.ndarray:
        """Fallen: tilted beyond ``max_tilt``."""
        x, y = v.qpos[:, 4], v.qpos[:, 5]  # of the quaternion
        return 1.0 - 2.0 * (x * x + y * y) < self.min_up

    def measure(self, v: View) -> dict[str, np.ndarray]:
        """Falls."""
        return {"fall": self.terminated(v).astype(float)}

    def advance(self, v: View, rng: RowRandom) -> None:
        """Run the clocks, and keep what the next step compares with."""
        v.air_time = np.where(v.cached(self._contact), 0.0, v.air_time + self.dt)
        v.last_joint_velocity = v.qvel[:, self.qvel_joints]
        v.last_foot_position = v.site_xpos[:, self.foot_sites, :2]
        phase = v.gait_phase + self.config.gait_frequency * self.dt
        v.gait_phase = phase - np.floor(phase)

    # Quantities, in the base frame unless said otherwise.

    def _linear_velocity(self, v: View) -> np.ndarray:
        """(n, 3) velocity of the base (m/s); MuJoCo gives a free joint's in the world frame."""
        return rotations.rotate_inverse(v.qpos[:, 3:7], v.qvel[:, :3])

    def _gravity(self, v: View) -> np.ndarray:
        """(n, 3) direction of gravity."""
        return rotations.projected_gravity(v.qpos[:, 3:7])

    def _pose(self, v: View) -> np.ndarray:
        """(n, joints) joint positions from the default pose (rad)."""
        return v.qpos[:, self.qpos_joints] - self.default_pose

    def _gait_clock(self, v: View) -> np.ndarray:
        """(n, 2) sine and cosine of the gait's phase; 0 while the robot should stand."""
        moving, angle = self._moving(v), 2 * np.pi * v.gait_phase
        return np.stack([moving * np.sin(angle), moving * np.cos(angle)], axis=1)

    def _soles(self, v: View) -> np.ndarray:
        """(n, feet) height of the soles above the ground beneath (m); flat ground is at 0."""
        return v.site_xpos[:, self.foot_sites, 2] - self.foot_radius

    def _swing_height_error(self, v: View, swing: np.ndarray) -> np.ndarray:
        """(n,) the reward term for the height of swinging feet; ``swing`` as of ``_swing``."""
        return terms.swing_height(self._soles(v), swing, self.config.swing_height)

    def _base_height(self, v: View) -> np.ndarray:
        """(n,) height of the base above the ground (m)."""
        return v.qpos[:, 2]

    def _contact(self, v: View) -> np.ndarray:
        """(n, feet) bool: the foot pressed on the ground in the last substep."""
        return v.sensordata[:, self.touch] > 0.0

    def _moving(self, v: View) -> np.ndarray:
        """(n,) 1.0 while motion is asked for or the robot is still slowing down, else 0.0."""
        speed2 = sum_of_squares(v.qvel[:, :2])
        return (v.command.any(axis=1) | (speed2 > self.config.standing_speed**2)).astype(float)

    def _swing(self, v: View) -> np.ndarray:
        """(n, feet) progress of each foot's swing, 0 to 1; negative where it should stand."""
        share = self.config.swing_share
        phase = v.gait_phase[:, None] + self.gait_offsets
        progress = (phase - np.floor(phase) - (1.0 - share)) / share
        return np.where(self._moving(v)[:, None] > 0, progress, -1.0)

    def rewards(self, v: View) -> dict[str, np.ndarray]:
        """Every term of gait and effort, unweighted."""
        config = self.config
        velocity, gravity = v.cached(self._linear_velocity), v.cached(self._gravity)
        contact, swing, moving = v.cached(self._contact), self._swing(v), self._moving(v)
        feet = v.site_xpos[:, self.foot_sites]
        offset = self._pose(v)
        acceleration = (v.qvel[:, self.qvel_joints] - v.last_joint_velocity) / self.dt
        return {
            "gait": terms.gait(contact, swing),
            "swing_height": self._swing_height_error(v, swing),
            "air_time": terms.air_time(v.air_time, contact, config.air_time_target) * moving,
            "slip": terms.slip(feet[:, :, :2], v.last_foot_position, contact, self.dt),
            "vertical_velocity": np.square(velocity[:, 2]),
            "roll_pitch_rate": sum_of_squares(v.qvel[:, 3:5]),
            "orientation": sum_of_squares(gravity[:, :2]),
            "base_height": np.square(self._base_height(v) - self.stand_height),
            "pose": sum_of_squares(offset),
            "abduction": sum_of_squares(offset[:, self.sideways_joints]),
            "stand_still": sum_of_squares(offset) * (1.0 - moving),
            "torque": sum_of_squares(v.actuator_force),
            "joint_acceleration": sum_of_squares(acceleration),
            "action_rate": sum_of_squares(v.action - v.last_action),
            "fall": self.terminated(v).astype(float),
        }
