# SPDX-License-Identifier: Apache-2.0
"""Distillation: a student policy learns by imitation from a teacher policy that sees more.

The student acts, and in each state that it visits it learns the teacher's action. So it also learns
to leave states into which only its own mistakes lead. The loss is the mean squared distance of its
mean actions from the teacher's deterministic actions.

Source: DAgger (Ross et al., "A reduction of imitation learning and structured prediction to
no-regret online learning", 2011), here with the latest rollout only. A student with memory instead
of its teacher's view of the terrain is that of Lee et al., "Learning quadrupedal locomotion over
challenging terrain", 2020.
"""

from statistics import fmean
from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import nn

from adapters.distill_config import DistillConfig
from adapters.teacher import Teacher
from adapters.torch_networks import (
    linear_layers,
    lstm_layers,
    make_linear,
    make_trunk,
    to_array,
)
from adapters.torch_sampling import shuffled
from adapters.torch_states import Arrays
from adapters.torch_trainer import TorchTrainer
from motrix_gym.policy import Policy

Memory = tuple[torch.Tensor, torch.Tensor]  # output and cell of the LSTM, (1, n, hidden) each


class Student(nn.Module):
    """Mean actions, from observations and a memory of earlier ones.

    Args:
        inputs: Entries of an observation.
        outputs: Entries of an action.
        config: Sizes and activation.
    """

    def __init__(self, inputs: int, outputs: int, config: DistillConfig):
        super().__init__()
        hidden, sizes = config.lstm_hidden_size, config.policy_hidden_layer_sizes
        self.lstm = nn.LSTM(inputs, hidden) if hidden else None
        self.trunk = make_trunk(hidden or inputs, sizes, config.activation)
        self.output = make_linear(sizes[-1] if sizes else hidden or inputs, outputs, gain=0.01)

    def no_memory(self, rows: int) -> Memory:
        """Returns the memory (zeros) with which so many rows begin their episodes."""
        size = self.lstm.hidden_size if self.lstm else 0
        return torch.zeros(1, rows, size), torch.zeros(1, rows, size)

    def forward(
        self, x: torch.Tensor, memory: Memory, starts: torch.Tensor
    ) -> tuple[torch.Tensor, Memory]:
        """Returns the mean actions of consecutive steps, and the memory after them.

        Args:
            x: (steps, n, inputs) normalised observations.
            memory: The memory before the first step.
            starts: (steps, n) bool, rows whose episode begins with this observation.
        """
        if self.lstm:
            outputs = []
            for step, start in zip(x, starts, strict=True):
                kept = (~start).float()[None, :, None]
                output, memory = self.lstm(step[None], (memory[0] * kept, memory[1] * kept))
                outputs.append(output)
            x = torch.cat(outputs)
        return self.output(self.trunk(x)), memory


class DistillTrainer(TorchTrainer):
    """Distillation on plain Torch; see `Trainer`.

    The student's normaliser is the teacher's, for the channels that both see, and so is its log
    standard deviation, which matters only where actions are drawn.

    Raises:
        FieldError: (a ValueError) there is no teacher, or it does not fit.
    """

    config: DistillConfig
    name = "skrl-torch"
    network: Student

    def __init__(self, env: VectorEnv, config: DistillConfig, *, device: str = "cpu"):
        super().__init__(env, config, device=device)
        self.teacher = Teacher(config.teacher, env, self.torch_device)
        actions: Any = env.single_action_space
        with self.seeded():
            network = Student(self.policy_width, actions.shape[0], config)
        self.network = network.to(self.torch_device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), config.learning_rate)
        self.observations, _ = self.measured_env.reset(seed=config.seed)
        self.starts = np.ones(env.num_envs, bool)
        output, cell = self.network.no_memory(env.num_envs)
        self.memory = output.to(self.torch_device), cell.to(self.torch_device)
        mean, std = self.teacher.statistics
        self._mean = self._tensor(mean[: self.policy_width])
        self._std = self._tensor(std[: self.policy_width])

    @torch.no_grad()
    def _collect(self) -> None:
        seen: list[torch.Tensor] = []
        starts: list[torch.Tensor] = []
        self._first_memory = self.memory
        for _ in range(self.config.rollouts):
            seen.append(self._tensor(self.observations))
            starts.append(self._tensor(self.starts))
            x, start = self._inputs(seen[-1]), starts[-1]
            actions, self.memory = self.network(x[None], self.memory, start[None])
            self.observations, _, terminated, truncated, _ = self.measured_env.step(
                actions[0].cpu().numpy()
            )
            self.starts = terminated | truncated
        observations = torch.stack(seen)
        self._rollout = self._inputs(observations), torch.stack(starts)
        self._targets = self.teacher(observations)

    def _learn(self) -> dict[str, float]:
        config, losses = self.config, []
        (x, starts), (output, cell) = self._rollout, self._first_memory
        for _ in range(config.learning_epochs):
            order = shuffled(config.num_envs, self.generator, mirrored=False)
            for rows in order.split(config.num_envs // config.mini_batches):
                memory = output[:, rows], cell[:, rows]
                means, _ = self.network(x[:, rows], memory, starts[:, rows])
                loss = nn.functional.mse_loss(means, self._targets[:, rows])
                self.optimizer.zero_grad()
                loss.backward()
                if config.grad_norm_clip > 0:
                    nn.utils.clip_grad_norm_(self.network.parameters(), config.grad_norm_clip)
                self.optimizer.step()
                losses.append(float(loss.detach()))
        return {"Loss / Imitation loss": fmean(losses)}

    def _inputs(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns what the student sees of observations (..., obs), normalised."""
        x = (observations[..., : self.policy_width] - self._mean) / self._std
        return x.clamp(-self.teacher.clip, self.teacher.clip)

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(array)).to(self.torch_device)

    def policy(self) -> Policy:
        lstm = {"lstm": lstm_layers(self.network.lstm)} if self.network.lstm else {}
        layers = linear_layers(self.network.trunk, self.network.output)
        normalizer = (*self.teacher.statistics, self.teacher.clip)
        return self.make_policy(layers, self.teacher.log_std, normalizer, **lstm)

    def _own_state(self) -> Arrays:
        return {
            "observations": self.observations.copy(),
            "starts": self.starts.copy(),
            "memory_output": to_array(self.memory[0]),
            "memory_cell": to_array(self.memory[1]),
            "teacher": np.frombuffer(self.teacher.digest, np.uint8),
        }

    def _restore_own(self, state: Arrays) -> None:
        if state["teacher"].tobytes() != self.teacher.digest:
            raise ValueError(f"the teacher {self.config.teacher} has changed since this state")
        self.observations = np.array(state["observations"])
        self.starts = np.array(state["starts"])
        output, cell = state["memory_output"], state["memory_cell"]
        self.memory = self._tensor(output), self._tensor(cell)
