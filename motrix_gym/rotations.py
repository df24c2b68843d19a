# SPDX-License-Identifier: Apache-2.0
"""Quaternions and frames, vectorised: quaternions are (..., 4) as (w, x, y, z), unit length.

A quaternion turns vectors from a body's frame into the world's. Leading axes broadcast.
"""

import numpy as np

from motrix_gym.random import RowRandom


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 3) cross product: ``np.cross`` for this one case, at a quarter of its cost."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    first = ay * bz - az * by
    out = np.empty((*first.shape, 3), first.dtype)
    out[..., 0], out[..., 1], out[..., 2] = first, az * bx - ax * bz, ax * by - ay * bx
    return out


def rotate(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate ``vector`` (..., 3) by ``quat`` (..., 4): from the body's frame to the world's."""
    w, xyz = quat[..., :1], quat[..., 1:]
    twice_cross = 2.0 * cross(xyz, vector)
    return vector + w * twice_cross + cross(xyz, twice_cross)


def rotate_inverse(quat: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Rotate ``vector`` (..., 3) by the inverse of ``quat`` (..., 4): from world to body."""
    w, xyz = quat[..., :1], -quat[..., 1:]
    twice_cross = 2.0 * cross(xyz, vector)
    return vector + w * twice_cross + cross(xyz, twice_cross)


def rotation_matrix(quat: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotation matrices of ``quat`` (..., 4); their columns are the body's axes."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def projected_gravity(quat: np.ndarray) -> np.ndarray:
    """(..., 3) unit gravity in the body's frame; (0, 0, -1) when the body stands upright."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    return np.stack(
        [-2 * (x * z - w * y), -2 * (y * z + w * x), 2 * (x * x + y * y) - 1.0], axis=-1
    )


def from_yaw(yaw: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions of a turn by ``yaw`` (rad) about the world's z axis."""
    zero = np.zeros_like(yaw)
    return np.stack([np.cos(yaw / 2), zero, zero, np.sin(yaw / 2)], axis=-1)


def yaw(quat: np.ndarray) -> np.ndarray:
    """(...,) heading of the body's x axis about the world's z axis (rad, -pi to pi)."""
    w, x, y, z = np.moveaxis(quat, -1, 0)
    return np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def conjugate(quat: np.ndarray) -> np.ndarray:
    """(..., 4) the inverse rotations of ``quat`` (..., 4)."""
    return quat * np.array([1.0, -1.0, -1.0, -1.0])


def product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(..., 4) Hamilton products: rotate by ``second``, then by ``first``, (..., 4) each."""
    w1, x1, y1, z1 = np.moveaxis(first, -1, 0)
    w2, x2, y2, z2 = np.moveaxis(second, -1, 0)
    parts = [
        w1 * w2 - x1 * x2 - y1 * y2 - z1 * z2,
        w1 * x2 + x1 * w2 + y1 * z2 - z1 * y2,
        w1 * y2 - x1 * z2 + y1 * w2 + z1 * x2,
        w1 * z2 + x1 * y2 - y1 * x2 + z1 * w2,
    ]
    return np.stack(parts, axis=-1)


def from_rotation_vector(vector: np.ndarray) -> np.ndarray:
    """(..., 4) quaternions of turns about axes: ``vector`` (..., 3) is axis times angle (rad)."""
    angle = np.sqrt(np.square(vector).sum(-1))
    # sin(a / 2) / a, which is 1 / 2 at 0; np.sinc(x) is sin(pi x) / (pi x).
    scale = 0.5 * np.sinc(angle / (2 * np.pi))
    return np.concatenate([np.cos(angle / 2)[..., None], scale[..., None] * vector], axis=-1)


def to_rotation_vector(quat: np.ndarray) -> np.ndarray:
    """(..., 3) axis times angle (rad, 0 to pi) of ``quat`` (..., 4), the shorter way round."""
    quat = np.where(quat[..., :1] < 0, -quat, quat)
    sine = np.sqrt(np.square(quat[..., 1:]).sum(-1))
    angle = 2 * np.arctan2(sine, quat[..., 0])
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-9), 2.0)
    return scale[..., None] * quat[..., 1:]


def difference(target: np.ndarray, quat: np.ndarray) -> np.ndarray:
    """(..., 3) rotation vectors (rad, world frame) that lead from ``quat`` to ``target``."""
    return to_rotation_vector(product(target, conjugate(quat)))


def six_numbers(quat: np.ndarray) -> np.ndarray:
    """(..., 6) the body's x and y axes in the world: a description without jumps.

    Source: Zhou et al., "On the continuity of rotation representations in neural networks", 2019.
    """
    matrix = rotation_matrix(quat)
    return np.concatenate([matrix[..., 0], matrix[..., 1]], axis=-1)


def random(rng: RowRandom) -> np.ndarray:
    """(n, 4) quaternions uniform over all rotations.

    Source: Shoemake, "Uniform random rotations", Graphics Gems III, 1992.
    """
    u, a, b = rng.uniform(size=3).T
    a, b = 2 * np.pi * a, 2 * np.pi * b
    inner, outer = np.sqrt(1 - u), np.sqrt(u)
    parts = [outer * np.cos(b), inner * np.sin(a), inner * np.cos(a), outer * np.sin(b)]
    return np.stack(parts, axis=-1)
