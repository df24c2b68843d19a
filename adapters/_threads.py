# SPDX-License-Identifier: Apache-2.0
"""How Torch's threads wait for work, decided before Torch is loaded, which is when it is read.

By default they spin, and an update takes about seven times as long as soon as another process
wants one of the cores.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
