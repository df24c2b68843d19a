# SPDX-License-Identifier: Apache-2.0
"""TQC and CrossQ by sb3-contrib."""

from typing import Any

import numpy as np
from sb3_contrib import TQC, CrossQ

from adapters.off_policy import FinalObservations, OffPolicyTrainer, SACTrainer
from adapters.sb3_config import CrossQConfig, TQCConfig


class TrainerTQC(FinalObservations, TQC):
    """TQC for `TQCTrainer`."""


class TQCTrainer(SACTrainer):
    """TQC by sb3-contrib; see `OffPolicyTrainer`. Its policy is SAC's."""

    config: TQCConfig
    algorithm = TrainerTQC

    def _settings(self) -> dict[str, Any]:
        dropped = self.config.top_quantiles_to_drop_per_net
        return super()._settings() | {"top_quantiles_to_drop_per_net": dropped}

    def _network_settings(self) -> dict[str, Any]:
        return {"n_quantiles": self.config.n_quantiles}
