# SPDX-License-Identifier: Apache-2.0
"""Reward terms of legged locomotion: functions of arrays with one row per environment.

Each returns (n,), unweighted; of a penalty, the size. Sources: legged_gym (Rudin et al.,
"Learning to walk in minutes using massively parallel deep reinforcement learning", 2021) as
MotrixLab uses it; for gaits, Siekmann et al., "Sim-to-real learning of all common bipedal gaits
via periodic reward composition", 2021.
"""

import numpy as np

from motrix_gym.rewards import sum_of_squares


def gait(contact: np.ndarray, swing: np.ndarray) -> np.ndarray:
    """Share of the feet that are in the air where the gait has them swing, and on the ground else.

    Args:
        contact: (n, feet) bool.
        swing: (n, feet) progress of each foot's swing, 0 to 1; negative where it should stand.
    """
    return (contact == (swing < 0)).mean(-1)


def swing_height(height: np.ndarray, swing: np.ndarray, peak: float) -> np.ndarray:
    """Squared distance of swinging feet from a half sine (m2), summed over feet.

    Args:
        height: (n, feet) of the soles above the ground (m).
        swing: as for ``gait``.
        peak: height in the middle of the swing (m).
    """
    wanted = peak * np.sin(np.pi * np.maximum(swing, 0.0))
    return (np.square(height - wanted) * (swing >= 0)).sum(-1)


def swing_clearance(height: np.ndarray, swing: np.ndarray, peak: float, band: float) -> np.ndarray:
    """Squared distance of swinging feet from a band above a half sine (m2), summed over feet.

    Args:
        height: (n, feet) of the soles above the ground that they have to cross (m).
        swing: as for ``gait``.
        peak: lowest height in the middle of the swing (m).
        band: how much higher is as good (m).
    """
    over = height - peak * np.sin(np.pi * np.maximum(swing, 0.0))
    outside = np.minimum(over, 0.0) + np.maximum(over - band, 0.0)
    return (np.square(outside) * (swing >= 0)).sum(-1)


def air_time(time: np.ndarray, contact: np.ndarray, target: float) -> np.ndarray:
    """Time in the air beyond a target, of the feet that touch down in this step (s).

    Args:
        time: (n, feet) in the air before this step (s).
        contact: (n, feet) bool.
        target: (s).
    """
    landed = contact & (time > 0)
    return ((time - target) * landed).sum(-1)


def slip(feet: np.ndarray, last: np.ndarray, contact: np.ndarray, dt: float) -> np.ndarray:
    """Squared speed of the feet on the ground (m2/s2), summed over feet.

    Args:
        feet: (n, feet, 2) places (m).
        last: the same one step before; not finite where that is not known.
        contact: (n, feet) bool.
        dt: (s).
    """
    speed2 = sum_of_squares((feet - last) / dt)
    return np.where(contact & np.isfinite(speed2), speed2, 0.0).sum(-1)
