# SPDX-License-Identifier: Apache-2.0
"""VecNormalize of Stable-Baselines3: how it is made, stored and restored."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from stable_baselines3.common.running_mean_std import RunningMeanStd
from stable_baselines3.common.vec_env import VecNormalize

from adapters.ppo_config import PPOConfig
from adapters.ranks import Ranks
from adapters.sb3_config import ARSConfig, GaussianConfig, OffPolicyConfig
from adapters.sb3_env import SB3VecEnv
from adapters.states import with_prefix, without_prefix
from adapters.torch_states import Arrays
from motrix_gym import Reflection

MOMENTS = ("mean", "var", "count")  # what a RunningMeanStd holds


def make_normalizer(env: VectorEnv, config: PPOConfig | GaussianConfig) -> VecNormalize:
    """Returns the environment for Stable-Baselines3, observations and rewards normalised."""
    return VecNormalize(
        SB3VecEnv(env),
        norm_obs=config.normalize_observations,
        norm_reward=config.normalize_values,
        gamma=config.discount_factor,
    )


def make_observation_normalizer(
    env: VectorEnv, config: OffPolicyConfig | ARSConfig
) -> VecNormalize:
    """Returns the environment for Stable-Baselines3, rewards as they are."""
    return VecNormalize(SB3VecEnv(env), norm_obs=config.normalize_observations, norm_reward=False)


def observation_moments(normalizer: VecNormalize) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Returns mean and standard deviation (obs,) and the clip; None if nothing is normalised."""
    if not normalizer.norm_obs:
        return None
    moments: Any = normalizer.obs_rms
    return moments.mean, np.sqrt(moments.var + normalizer.epsilon), normalizer.clip_obs


def moment_arrays(moments: RunningMeanStd) -> Arrays:
    """Returns what a RunningMeanStd holds."""
    return {name: np.array(getattr(moments, name)) for name in MOMENTS}


def load_moments(moments: RunningMeanStd, arrays: Arrays) -> None:
    """Writes `moment_arrays` into a RunningMeanStd."""
    for name in MOMENTS:
        setattr(moments, name, np.array(arrays[name])[()])


def observation_state(normalizer: VecNormalize) -> Arrays:
    """Returns the moments of observations under "moments/"; {} if nothing is normalised."""
    if not normalizer.norm_obs:
        return {}
    moments: Any = normalizer.obs_rms
    return with_prefix("moments/", moment_arrays(moments))


def restore_observations(normalizer: VecNormalize, state: Arrays) -> None:
    """Goes back to the `observation_state` in a state."""
    if normalizer.norm_obs:
        moments: Any = normalizer.obs_rms
        load_moments(moments, without_prefix("moments/", state))


class SharedMoments(RunningMeanStd):
    """Running moments of the samples of all ranks.

    Args:
        shape: Of a sample.
        ranks: The processes that learn together.
        reflection: Counts every sample's mirror image too. So the normalised mirror image is the
            mirror image of the normalised sample.
    """

    def __init__(self, shape: tuple[int, ...], ranks: Ranks, reflection: Reflection | None = None):
        super().__init__(shape=shape)
        self.ranks, self.reflection = ranks, reflection

    def update(self, arr: np.ndarray) -> None:
        super().update(np.concatenate([arr, self.reflection(arr)]) if self.reflection else arr)

    def update_from_moments(
        self, batch_mean: np.ndarray, batch_var: np.ndarray, batch_count: float
    ) -> None:
        super().update_from_moments(*self.ranks.moments(batch_mean, batch_var, int(batch_count)))
