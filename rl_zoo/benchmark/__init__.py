# SPDX-License-Identifier: Apache-2.0
"""What `motrix benchmark` measures: environments, their memory, learners, time to a goal.

Everything is measured in blocks that take turns with a yardstick, which does not change when this
project does: the bare physics for an environment, the library's own loop for a trainer. A ratio of
two blocks that ran one after the other says the same on a busy machine as on a quiet one. From two
samples of such ratios `results` tells whether the one is slower than the other beyond noise.
"""

PARTS = ("environments", "memory", "learners", "threshold")
