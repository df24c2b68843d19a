# SPDX-License-Identifier: Apache-2.0
"""What dm_control's robots share: random start poses, and the kinematics of those in a plane."""

from functools import reduce

import mujoco
import numpy as np

from motrix_gym.view import View


def pose_range(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and highest start positions, (nq,) each, of dm_control's random poses.

    A limited joint starts anywhere in its range, an unlimited hinge at any angle, and an
    unlimited slide where the model has it. Every joint must be a hinge or a slide.
    """
    limited = model.jnt_limited.astype(bool)
    turn = np.where(model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE, np.pi, 0.0)
    ranges: np.ndarray = model.jnt_range
    home: np.ndarray = model.qpos0
    low = np.where(limited, ranges[:, 0], home - turn)
    high = np.where(limited, ranges[:, 1], home + turn)
    return low, high


class PlanarTree:
    """A tree of links in the x-z plane: closed forms of what MuJoCo derives from qpos and qvel.

    They are current after a step, where MuJoCo's derived fields lag by one substep, and cost
    less than having it derive them again. Link 0 is the root, MuJoCo's body 1, and slides freely
    along x and z; every link has one hinge, about +y or -y, and no rotation of its own. A
    link's angle turns z towards x.

    Attributes:
        centre_of_mass: (links, 2) the way from the root's origin to the robot's centre of mass,
            which is the sum of its rows. Row i is the part that turns with link i: (x, z) in that
            link's frame, in m.
    """

    def __init__(self, model: mujoco.MjModel):
        """Read the links from ``model``, whose bodies other than the world are the robot."""
        slides = model.jnt_type == mujoco.mjtJoint.mjJNT_SLIDE
        self._forward = int(np.flatnonzero(slides & (model.jnt_axis[:, 0] == 1))[0])
        self._parents = model.body_parentid[1:] - 1
        self._hinges = model.body_jntadr[1:] + model.body_jntnum[1:] - 1
        self._signs = model.jnt_axis[self._hinges, 1]
        frame = np.zeros((model.nbody, model.nbody - 1, 2))  # of each body's origin
        centre = np.zeros_like(frame)  # of each body's centre of mass
        plane = [0, 2]
        for body in range(1, model.nbody):
            link, parent = body - 1, int(model.body_parentid[body])
            anchor = model.jnt_pos[self._hinges[link], plane]
            frame[body] = frame[parent]
            if parent:
                frame[body, parent - 1] += model.body_pos[body, plane] + anchor
            frame[body, link] -= anchor
            centre[body] = frame[body]
            centre[body, link] += model.body_ipos[body, plane]
        self._centre = centre
        shares = model.body_mass / model.body_mass.sum()
        self.centre_of_mass = np.einsum("b,bkx->kx", shares, centre)

    def centre(self, body: int) -> np.ndarray:
        """(links, 2) like ``centre_of_mass``, of one body's own centre of mass."""
        return self._centre[body]

    def angles(self, v: View) -> np.ndarray:
        """(links, n) angles of the links, in rad."""
        return self.turn(v.qpos)

    def turn(self, coordinates: np.ndarray) -> np.ndarray:
        """(links, n): the links' angles if (n, nq) positions are given, their rates if (n, nv)."""
        angles = coordinates.T[self._hinges] * self._signs[:, None]
        for link, parent in enumerate(self._parents[1:], start=1):
            angles[link] += angles[parent]
        return angles

    def height(self, place: np.ndarray, v: View) -> np.ndarray:
        """(n,) how far above the root's origin a place is, given as ``centre_of_mass`` is, in m."""
        return _total(self._rises(place, v))

    def speed(self, v: View) -> np.ndarray:
        """(n,) velocity of the robot's centre of mass along x, in m/s."""
        # A turning link moves forward what lies above its hinge.
        turned = self.turn(v.qvel) * self._rises(self.centre_of_mass, v)
        return v.qvel[:, self._forward] + _total(turned)

    def _rises(self, place: np.ndarray, v: View) -> np.ndarray:
        """(links, n) how far up each link leads on the way to ``place``, in m."""
        length, phase = np.hypot(*place.T), np.arctan2(*place.T)
        return length[:, None] * np.cos(v.cached(self.angles) + phase[:, None])


def _total(rows: np.ndarray) -> np.ndarray:
    """The sum of the rows, one after the other: NumPy's own would depend on their length."""
    return reduce(np.add, rows)
