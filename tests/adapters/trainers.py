# SPDX-License-Identifier: Apache-2.0
"""Trainers for the tests that hold for several of them, and settings of a training that is tiny."""

import pytest

from adapters import MissingLibraryError, load_trainer

TINY = {
    "seed": 0,
    "num_envs": 64,
    "mini_batches": 2,
    "desired_kl": 0,  # a fixed rate
    "policy_hidden_layer_sizes": (8,),
    "value_hidden_layer_sizes": (8,),
    "share_policy_value_features": False,
}


def load_or_skip(name, algo="ppo"):
    """Return the trainer of this name; skip the test if its library is not installed."""
    try:
        return load_trainer(name, algo)
    except MissingLibraryError as error:
        pytest.skip(str(error))
