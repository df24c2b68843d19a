# SPDX-License-Identifier: Apache-2.0
"""What the tests of the adapters share."""

import pytest

from adapters import TRAINERS
from tests.adapters.trainers import load_or_skip


@pytest.fixture(params=TRAINERS)
def trainer_class(request):
    """Return the PPO trainer of each library."""
    return load_or_skip(request.param)
