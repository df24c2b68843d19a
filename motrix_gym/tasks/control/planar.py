# SPDX-License-Identifier: Apache-2.0
"""What dm_control's robots share: random start poses, and kinematics in a plane."""

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

    They describe the state after a step, where MuJoCo's derived fields lag by one substep, and cost
    less than having MuJoCo derive them again. Link 0 is the root, MuJoCo's body 1, and slides
    freely along x and z. Every link has one hinge, about +y or -y, and its frame has the axes of
    its parent's when all angles are 0. A positive angle turns z towards x.

    A place on the robot is given as (links, 2): the vector from the root's origin to the place is
    the sum of the rows. Row i is the part that turns with link i, (x, z) in that link's frame (m).

    Attributes:
        centre_of_mass: (links, 2) the robot's centre of mass, as a place.
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
        """(links, 2) one body's centre of mass, as a place."""
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
        """(n,) height of a place (links, 2) above the root's origin, in m."""
        return _total(self._rises(place, v))

    def speed(self, v: View) -> np.ndarray:
        """(n,) velocity of the robot's centre of mass along x, in m/s."""
        # A link that turns at rate w moves what lies h above its hinge forward at w h.
        turned = self.turn(v.qvel) * self._rises(self.centre_of_mass, v)
        return v.qvel[:, self._forward] + _total(turned)

    def _rises(self, place: np.ndarray, v: View) -> np.ndarray:
        """(links, n) each link's part of the height of a place above the root's origin, in m."""
        length, phase = np.hypot(*place.T), np.arctan2(*place.T)
        return length[:, None] * np.cos(v.cached(self.angles) + phase[:, None])


def _total(rows: np.ndarray) -> np.ndarray:
    """The sum of the rows, added one after the other.

    The order in which NumPy's ``sum`` adds depends on the rows' length.
    """
    return reduce(np.add, rows)
