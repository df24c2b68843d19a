# SPDX-License-Identifier: Apache-2.0
"""What the tests of ranks share."""

import pytest
from two_processes import end, only_run, train

from adapters import TRAINERS


@pytest.fixture(scope="session", params=TRAINERS)
def whole(request, tmp_path_factory):
    """A training of two processes by each trainer, to its end."""
    root = tmp_path_factory.mktemp("whole")
    statuses, said = end(train(root, request.param))
    assert statuses == [0, 0], said
    return only_run(root)
