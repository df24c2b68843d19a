# SPDX-License-Identifier: Apache-2.0
"""What the trainers for the libraries' own loops share: they cannot be resumed."""

from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from adapters.algorithm_config import FieldError
from adapters.base import Trainer
from adapters.ppo_config import PPOConfig
from adapters.registry import counterpart
from adapters.requirements import Requirements


class StockTrainer(Trainer):
    """A library's own agent and loop with our settings and networks; see `Trainer`.

    Policy and value are always separate networks, and start with random weights. The settings in
    `without_effect` have none, since the libraries lack them. `privileged_value` is refused: policy
    and value get the same observation.

    A seed goes to the library, and in part to the global generators of Python, NumPy and Torch,
    which are left changed.
    """

    config: PPOConfig
    without_effect = (
        "share_policy_value_features",
        "symmetry_augmentation",
        "noise_correlation",
        "anneal_learning_rate",
        "bounds_loss_scale",
        "final_log_std",
        "initial_policy",
    )

    @classmethod
    def requirements(cls, env: VectorEnv, config: Any) -> Requirements:
        if config.privileged_value:
            raise FieldError(
                "privileged_value",
                f"privileged_value=True: {cls.name}, the library's own loop, gives policy and "
                f"value the same observation; set it to False, or train with "
                f"{counterpart(cls.name)}",
            )
        return super().requirements(env, config)

    def state(self) -> dict[str, np.ndarray]:
        """Returns the number of updates, which is not enough to go on."""
        return {"num_updates": np.array(self.num_updates)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Raises ValueError: the library does not give all that it would take."""
        raise ValueError(
            f"{self.name} cannot go on where a run was stopped, the library's own loop has no way "
            f"to; {counterpart(self.name)} can"
        )
