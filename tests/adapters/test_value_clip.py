# SPDX-License-Identifier: Apache-2.0
"""The clip of predicted values bounds a change of the value network's output, and not its scale.

Returns are normalised with statistics that an update itself changes. Values that were recorded
before and values predicted in the update must be compared on one scale, else all of them may lie
outside of the clip, where there is no gradient.
"""

import re

import numpy as np
import pytest

from adapters import PPOConfig
from tests.adapters.envs import PointEnv

# Of the value network's parameters in the states of skrl-jax, skrl-torch and sb3.
VALUE_WEIGHTS = r"learner/value/|^network/(trunks\.1|value_head|mlp_extractor\.value|value_net)"


class PaidPointEnv(PointEnv):
    """A PointEnv that pays `scale` times the reward plus 3 in each step."""

    def __init__(self, num_envs, scale):
        super().__init__(num_envs)
        self.scale = scale

    def advance(self, action):
        reward, *rest = super().advance(action)
        return self.scale * (reward + 3.0), *rest


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
def test_the_critic_moves_in_the_first_update(trainer_class, scale):
    """With the default settings, clip_predicted_values among them."""
    config = PPOConfig(seed=0, num_envs=64, share_policy_value_features=False)
    assert config.clip_predicted_values
    trainer = trainer_class(PaidPointEnv(64, scale), config)
    before = trainer.state()
    trainer.update()
    after = trainer.state()
    weights = [name for name in before if re.search(VALUE_WEIGHTS, name) and before[name].ndim == 2]
    assert len(weights) == 4  # three hidden layers and the output
    # Adam's first steps are about as long as the rate, 1e-3, wherever there is a gradient.
    for name in weights:
        assert np.abs(after[name] - before[name]).mean() > 1e-4, name
