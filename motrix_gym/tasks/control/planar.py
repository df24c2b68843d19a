# SPDX-License-Identifier: Apache-2.0
"""What dm_control's robots share: random start poses, and the kinematics of those in a plane."""

import mujoco
import numpy as np

from motrix_gym.simulation import View


def pose_range(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest start positions, (nq,) each, of dm_control's random poses.

    A limited joint starts anywhere in its range, an unlimited hinge at any angle, and an
    unlimited slide where the model has it. Every joint must be a hinge or a slide.
    """
    limited = model.jnt_limited.astype(bool)
    turn = np.where(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE, np.pi, 0.0)
    low = np.where(limited, model.jnt_range[:, 0], model.qpos0 - turn)
    high = np.where(limited, model.jnt_range[:, 1], model.qpos0 + turn)
    return low, high


class PlanarTree:
    """A tree of links in the x-z plane: closed forms of what MuJoCo derives from qpos and qvel.

    They are current after a step, where MuJoCo's derived fields lag by one substep, and cost
    less than having it derive them again. Link 0 is the root, MuJoCo's body 1, and slides freely
    along x and z; every link has one hinge, about +y or -y, and no rotation of its own. A
    link's angle turns z towards x.

    Attributes:
        mass_centre: (links, 2) x and z of the robot's mass centre, from the root's, as ``along``
            takes them.
    """

    def __init__(self, model: mujoco.MjModel):
        """Read the links from ``model``, whose bodies other than the world are the robot."""
        self._forward = int(np.flatnonzero(_slides(model, 0))[0])
        self._hinges = []  # of each link: the link it hangs on, its hinge's index and sign
        frame = np.zeros((model.nbody, model.nbody - 1, 2))  # of each body's origin
        centre = np.zeros_like(frame)  # of each body's mass centre
        plane = [0, 2]
        for body in range(1, model.nbody):
            link, parent = body - 1, int(model.body_parentid[body])
            first = int(model.body_jntadr[body])
            hinge = first + int(model.body_jntnum[body]) - 1
            self._hinges.append((parent - 1, hinge, float(model.jnt_axis[hinge, 1])))
            anchor = model.jnt_pos[hinge, plane]
            frame[body] = frame[parent]
            if parent:
                frame[body, parent - 1] += model.body_pos[body, plane] + anchor
            frame[body, link] -= anchor
            centre[body] = frame[body]
            centre[body, link] += model.body_ipos[body, plane]
        self._centre = centre
        self.mass_centre = np.einsum("b,bkx->kx", model.body_mass / model.body_mass.sum(), centre)

    def centre(self, body: int) -> np.ndarray:
        """(links, 2) like ``mass_centre``, of one body's own mass centre."""
        return self._centre[body]

    def turn(self, coordinates: np.ndarray) -> np.ndarray:
        """(links, n): the links' angles if (n, nq) positions are given, their rates if (n, nv)."""
        # In this order, row by row, so that the sums do not depend on n.
        angles = np.empty((len(self._hinges), len(coordinates)))
        for link, (parent, hinge, sign) in enumerate(self._hinges):
            angles[link] = sign * coordinates[:, hinge]
            if parent >= 0:
                angles[link] += angles[parent]
        return angles

    def height(self, place: np.ndarray, v: View) -> np.ndarray:
        """(n,) how far above the root's origin a place is, given as ``mass_centre`` is, in m."""
        angle = self.turn(v.qpos)
        cos, sin = np.cos(angle), np.sin(angle)
        height = np.zeros(v.n)
        for link, (x, z) in enumerate(place):
            height += z * cos[link] - x * sin[link]
        return height

    def speed(self, v: View) -> np.ndarray:
        """(n,) velocity of the robot's mass centre along x, in m/s."""
        angle, rate = self.turn(v.qpos), self.turn(v.qvel)
        cos, sin = np.cos(angle), np.sin(angle)
        speed = v.qvel[:, self._forward].copy()
        for link, (x, z) in enumerate(self.mass_centre):
            speed += rate[link] * (z * cos[link] - x * sin[link])
        return speed


def _slides(model: mujoco.MjModel, axis: int) -> np.ndarray:
    """(njnt,) bool: the joints that slide along x (0), y (1) or z (2)."""
    slide = model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
    return slide & (model.jnt_axis[:, axis] == 1)
