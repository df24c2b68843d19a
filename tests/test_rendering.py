# SPDX-License-Identifier: Apache-2.0
"""Pictures."""

import numpy as np
from numpy.testing import assert_array_equal

from motrix_gym.rendering import tile


def test_tile_is_as_square_as_it_goes():
    frames = [np.full((2, 3, 3), i, np.uint8) for i in range(1, 6)]
    sheet = tile(frames)
    assert sheet.shape == (4, 9, 3)
    assert sheet[::2, ::3, 0].tolist() == [[1, 2, 3], [4, 5, 0]]
    assert tile(frames, columns=5).shape == (2, 15, 3)
    assert_array_equal(tile(frames[:1]), frames[0])
