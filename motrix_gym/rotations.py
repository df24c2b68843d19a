# SPDX-License-Identifier: Apache-2.0
"""Quaternions and frames, vectorised: quaternions are (..., 4) as (w, x, y, z), unit length."""

import numpy as np


def cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., 3) cross product: ``np.cross`` for this one case, at a quarter of its cost."""
    ax, ay, az = a[..., 0], a[..., 1], a[..., 2]
    bx, by, bz = b[..., 0], b[..., 1], b[..., 2]
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=-1)


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
