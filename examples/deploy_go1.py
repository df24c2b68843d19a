# SPDX-License-Identifier: Apache-2.0
"""Go1 walks in plain MuJoCo: its observation comes from an MjData and policy.json alone."""

from importlib.resources import files

import mujoco
import numpy as np

from motrix_gym import Policy

POLICY = Policy.load(str(files("rl_zoo") / "pretrained/Go1-v0"))
ABOUT = POLICY.metadata["deployment"]  # an entry of policy.json
POSE, GAIT = np.array(ABOUT["default_pose"]), ABOUT["gait_clock"]


def observe(data, action, command, phase):
    """Returns the observation (50,) after an action (12,); phase of the gait from 0 to 1."""
    to_base, clock = np.empty(9), 2 * np.pi * phase
    mujoco.mju_quat2Mat(to_base, data.qpos[3:7])
    velocity, gravity = np.array([data.qvel[:3], [0, 0, -1]]) @ to_base.reshape(3, 3)
    moving = np.any(command) or np.hypot(*data.qvel[:2]) > GAIT["standing_speed"]
    parts = velocity, data.qvel[3:6], gravity, data.qpos[7:] - POSE, data.qvel[6:], action, command
    return np.concatenate([*parts, [moving * np.sin(clock), moving * np.cos(clock)]])


def walk(model, data, command, seconds):
    """Steps `data` under a command: forward (m/s), left (m/s), turn (rad/s)."""
    action, phase, period = np.zeros(12), 0.0, ABOUT["control_timestep"]
    for _ in range(round(seconds / period)):
        action = POLICY(observe(data, action, command, phase))
        data.ctrl = POSE + ABOUT["action"]["scale"] * action
        mujoco.mj_step(model, data, round(period / model.opt.timestep))
        phase = (phase + GAIT["frequency"] * period) % 1


if __name__ == "__main__":
    model = mujoco.MjModel.from_xml_path(str(files("motrix_gym") / "tasks/locomotion/go1.xml"))
    mujoco.mj_resetDataKeyframe(model, data := mujoco.MjData(model), model.keyframe("home").id)
    walk(model, data, [1.0, 0.0, 0.0], seconds=5.0)
    print(f"asked for 1 m/s: {data.qpos[0] / data.time:.2f} m/s over {data.time:.0f} s")
