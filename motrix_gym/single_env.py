# SPDX-License-Identifier: Apache-2.0
"""One environment of a task, as a ``gymnasium.Env``: a vector environment with one row."""

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode

from motrix_gym.names import shown
from motrix_gym.random import MAX_SEED
from motrix_gym.settings import integer, is_mapping
from motrix_gym.task import Task
from motrix_gym.vector_env import MotrixVectorEnv


class MotrixEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One environment, for ``gymnasium.make`` and its checkers and wrappers.

    Time limits are left to Gymnasium's ``TimeLimit``, which ``gymnasium.make`` adds from the
    spec. Stepping many environments this way is slow: use ``gymnasium.make_vec`` for that.

    ``info`` is the row of the vector environment's. A task's ``success`` is there a second time as
    ``is_success``, the name that Stable-Baselines3 looks for.

    Attributes:
        vector_env: the MotrixVectorEnv underneath, with one row.
        task, config, simulation, model, substeps: those of ``vector_env``.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, task: Task, *, render_mode: str | None = None, **kwargs: Any):
        """Create the environment; keyword arguments go to MotrixVectorEnv."""
        if render_mode not in (None, "rgb_array"):
            modes = "None, 'human' (with gymnasium.make) or 'rgb_array'"
            raise ValueError(f"render_mode must be {modes}, got {shown(render_mode)}")
        vector_env = MotrixVectorEnv(
            task, 1, autoreset_mode=AutoresetMode.DISABLED, render_mode=render_mode, **kwargs
        )
        self.vector_env = vector_env
        self.task = vector_env.task
        self.config = vector_env.config
        self.simulation = vector_env.simulation
        self.model = vector_env.model
        self.substeps = vector_env.substeps
        (self.observation_space,) = vector_env.get_attr("observation_space")
        (self.action_space,) = vector_env.get_attr("action_space")
        self.render_mode = render_mode
        self.metadata = {**self.metadata, "render_fps": vector_env.metadata["render_fps"]}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start a new episode; ``seed`` restarts the environment's random stream.

        Raises:
            ValueError: if the seed is no integer from 0 to 2**64 - 1, or options are given, which
                only a vector environment takes.
        """
        if options:
            raise ValueError(
                f"options must be None or empty, got {shown(options)}: a single environment has "
                "none, gymnasium.make_vec's have"
            )
        seed = None if seed is None else integer("seed", seed, 0, MAX_SEED)
        super().reset(seed=seed)
        observations, info = self.vector_env.reset(seed=seed)
        return observations[0], _first(info)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Advance by one action, (act_dim,)."""
        observations, rewards, terminated, truncated, info = self.vector_env.step(
            np.asarray(action)[None]
        )
        own = _first(info)
        if "success" in own:
            own["is_success"] = own["success"]
        return observations[0], float(rewards[0]), bool(terminated[0]), bool(truncated[0]), own

    def snapshot(self) -> dict[str, np.ndarray]:
        """Everything that decides the future; see MotrixVectorEnv."""
        return self.vector_env.snapshot()

    def restore(self, snapshot: dict[str, np.ndarray]) -> None:
        """Return to a ``snapshot``."""
        self.vector_env.restore(snapshot)

    def render(self) -> np.ndarray | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A picture, (height, width, 3) uint8."""
        frames = self.vector_env.render()
        return frames[0] if frames else None

    def close(self) -> None:
        """Free the renderer."""
        self.vector_env.close()


def _first(info: Mapping[str, Any]) -> dict[str, Any]:
    """Row 0 of a vector info, without masks."""
    return {
        key: _first(value) if is_mapping(value) else value[0].item()
        for key, value in info.items()
        if not key.startswith("_")
    }
