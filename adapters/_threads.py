# SPDX-License-Identifier: Apache-2.0
"""Sets how Torch's threads wait for work: passively, unless the user chose otherwise.

By default they spin. Then an update takes about seven times as long as soon as another process
wants one of the cores. Torch reads the variable when it is loaded, so it is set before.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
