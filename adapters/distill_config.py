# SPDX-License-Identifier: Apache-2.0
"""The settings of distillation."""

from dataclasses import dataclass
from typing import ClassVar

from adapters.algorithm_config import ACTIVATIONS, AlgorithmConfig, check_mini_batches
from adapters.run_config import MAX_COUNT
from motrix_gym.settings import MAX_SIZE, choice, described, flag, number, sizes, text, whole


@described
@dataclass(frozen=True, kw_only=True)
class DistillConfig(AlgorithmConfig):
    """Settings of one distillation: a student learns to act as a teacher does.

    Raises:
        FieldError: (a ValueError) as `AlgorithmConfig`, or `mini_batches` does not divide
            `num_envs`.
    """

    algo: ClassVar[str] = "distill"
    title: ClassVar[str] = "Distillation"
    rewards_shaper_scale: ClassVar[float] = 1.0  # nothing is learned from rewards
    privileged_setting: ClassVar[str] = "privileged_teacher"

    num_envs: int = 512

    # The teacher.
    teacher: str | None = text(
        doc="Policy to imitate: a run's folder, a folder with policy.safetensors and policy.json, "
        "or the name of a shipped one, such as Go1Stairs-v0. Channels are matched by name."
    )
    privileged_teacher: bool = flag(
        False,
        doc="The teacher also sees the task's privileged channels, in training alone; the student "
        "does not.",
    )

    # The student.
    lstm_hidden_size: int = whole(
        128,
        least=0,
        most=MAX_SIZE,
        unit="neurons",
        doc="Size of the student's LSTM, with which it remembers what it saw. 0: no LSTM.",
    )
    policy_hidden_layer_sizes: tuple[int, ...] = sizes(
        128, 64, unit="neurons", doc="Hidden layers of the student, after the LSTM."
    )
    activation: str = choice("elu", *ACTIVATIONS, doc="Function between layers.")

    # Collecting.
    rollouts: int = whole(
        24,
        least=1,
        most=MAX_COUNT,
        unit="vector steps",
        doc="Length of a rollout, over which gradients go back in time. One update learns from "
        "rollouts x num_envs environment steps.",
    )

    # Learning.
    learning_epochs: int = whole(
        2, least=1, most=MAX_COUNT, doc="Passes over a rollout in one update."
    )
    mini_batches: int = whole(
        4,
        least=1,
        most=MAX_COUNT,
        doc="Mini-batches per pass, a gradient step for each; they must divide num_envs, since the "
        "steps of an environment stay together.",
    )
    learning_rate: float = number(1e-3, above=0, doc="Step size of Adam.")
    grad_norm_clip: float = number(
        1.0, least=0, doc="Largest norm of the gradient of a step; 0: no limit."
    )

    def _check(self) -> None:
        super()._check()
        check_mini_batches(self.mini_batches, self.num_envs, f"num_envs={self.num_envs}")

    @property
    def networks(self) -> str:
        """A phrase for the user: the student's layers."""
        lstm = f"LSTM {self.lstm_hidden_size}, " if self.lstm_hidden_size else ""
        return f"{lstm}policy {'-'.join(map(str, self.policy_hidden_layer_sizes))}"
