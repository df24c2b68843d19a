# SPDX-License-Identifier: Apache-2.0
"""What an iteration of PPO costs without its environment.

Every variant, ours and the libraries' own loops, lives in a process of its own, so that the threads
of one library disturb no other, and makes its iterations in turn with the others: A B C, A B C.
Seconds are medians over the rounds, and those of the environment, which only hands out prepared
arrays, are not among them. CPU seconds are what a busy machine leaves comparable.
"""

import contextlib
import importlib.util
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from adapters import STOCK, TRAINERS, PPOConfig, counterpart, find_trainer, load_trainer

WARM_UP = 2  # iterations that compile
SETTINGS = {
    "seed": 0,
    "num_envs": 2048,
    "rollouts": 24,
    "policy_hidden_layer_sizes": (256, 128, 64),
    "value_hidden_layer_sizes": (256, 128, 64),
    "share_policy_value_features": False,
    "learning_epochs": 5,
    "mini_batches": 4,
    "clip_predicted_values": False,
}
OWN_SETTINGS = {"skrl-torch": {"mixed_precision": True}}  # where the processor has it
VARIANTS = (*TRAINERS, *STOCK, "sbx")

Seconds = dict[str, float]


class PreparedEnv(gymnasium.vector.VectorEnv):
    """Hands out random observations (48) and rewards; some row is at its time limit at each step.

    Args:
        num_envs: Rows.
        mode: As which it resets; learners do not notice that under NEXT_STEP no step is lost.
    """

    def __init__(self, num_envs: int, mode: AutoresetMode):
        self.metadata = {"autoreset_mode": mode, "render_modes": []}
        self.num_envs, self.limit = num_envs, 1000
        self.single_observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (48,))
        self.single_action_space = gymnasium.spaces.Box(-1.0, 1.0, (12,))
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        stream = np.random.default_rng(0)
        self.observations = stream.normal(size=(30, num_envs, 48)).astype(np.float32)
        self.rewards = stream.normal(size=(30, num_envs))
        self.elapsed = np.arange(num_envs) % self.limit
        self.steps, self.cpu_seconds = 0, 0.0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> Any:
        return self.observations[0].copy(), {}

    def step(self, actions: np.ndarray) -> Any:
        start = time.process_time()
        self.steps += 1
        self.elapsed += 1
        truncated = self.elapsed >= self.limit
        self.elapsed[truncated] = 0
        at = self.steps % len(self.observations)
        observations, info = self.observations[at].copy(), {}
        if self.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP:
            info = {"final_obs": self.observations[at - 1].copy(), "_final_obs": truncated}
        step = observations, self.rewards[at].copy(), np.zeros_like(truncated), truncated, info
        self.cpu_seconds += time.process_time() - start
        return step


def make_trainer(name: str, env_of: Callable[[AutoresetMode], PreparedEnv]) -> Any:
    """A trainer, or what has its `update()`."""
    if name == "sbx":
        return Sbx(env_of(AutoresetMode.SAME_STEP), PPOConfig(**SETTINGS))
    trainer = load_trainer(name)
    config = PPOConfig(**SETTINGS | OWN_SETTINGS.get(name, {}))
    return trainer(env_of(trainer.autoreset_mode), config)


class Sbx:
    """PPO of sbx, Stable-Baselines3's relative on JAX, with VecNormalize as `StockSB3Trainer`."""

    def __init__(self, env: PreparedEnv, config: PPOConfig):
        import flax.linen as nn
        from sbx import PPO  # pyright: ignore[reportMissingImports]
        from stable_baselines3.common.logger import Logger
        from stable_baselines3.common.vec_env import VecNormalize

        from adapters.measured_env import MeasuredEnv
        from adapters.sb3 import sb3_settings
        from adapters.sb3_env import SB3VecEnv
        from adapters.sb3_on_policy import network_settings
        from adapters.statistics import RolloutStatistics

        self.env = MeasuredEnv(env, RolloutStatistics(env.num_envs))
        self.model = PPO(
            "MlpPolicy",
            VecNormalize(SB3VecEnv(self.env), gamma=config.discount_factor),
            **sb3_settings(config),
            policy_kwargs=network_settings(config) | {"activation_fn": nn.elu},
            seed=config.seed,
        )
        self.model.set_logger(Logger(folder=None, output_formats=[]))
        _, self.callback = self.model._setup_learn(config.max_env_steps)

    def update(self) -> Seconds:
        model, start, self.env.seconds = self.model, time.perf_counter(), 0.0
        model.collect_rollouts(model.env, self.callback, model.rollout_buffer, model.n_steps)
        collected = time.perf_counter()
        model.train()
        return {
            "Time / Policy (s)": collected - start - self.env.seconds,
            "Time / Update (s)": time.perf_counter() - collected,
        }


def serve(name: str, pipe: Any) -> None:
    """Is a variant's process: makes an iteration whenever it is asked to."""
    envs: list[PreparedEnv] = []

    def env_of(mode: AutoresetMode) -> PreparedEnv:
        envs.append(PreparedEnv(SETTINGS["num_envs"], mode))
        return envs[0]

    trainer = make_trainer(name, env_of)
    for _ in range(WARM_UP):
        trainer.update()
    pipe.send("ready")
    with contextlib.suppress(EOFError):
        while pipe.recv():
            cpu, env_cpu = time.process_time(), envs[0].cpu_seconds
            scalars = trainer.update()
            cpu = time.process_time() - cpu - (envs[0].cpu_seconds - env_cpu)
            rollout, update = scalars["Time / Policy (s)"], scalars["Time / Update (s)"]
            pipe.send({"total": rollout + update, "rollout": rollout, "update": update, "cpu": cpu})


class Race:
    """Variants in processes of their own, warmed up; ``run`` makes an iteration of one of them."""

    def __init__(self, names: Sequence[str] = VARIANTS):
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the commands do
        spawn = multiprocessing.get_context("spawn")
        self.pipes, self.processes = {}, []
        self.seconds: dict[str, list[Seconds]] = {name: [] for name in names}
        for name in names:
            self.pipes[name], theirs = spawn.Pipe()
            self.processes.append(spawn.Process(target=serve, args=(name, theirs), daemon=True))
            self.processes[-1].start()
            theirs.close()
            self.pipes[name].recv()  # one after the other, so that each compiles alone

    def run(self, name: str):
        """Make an iteration of one variant, while the others wait."""
        self.pipes[name].send(True)
        self.seconds[name].append(self.pipes[name].recv())

    def figures(self, name: str) -> Seconds:
        """Medians over the rounds, in seconds."""
        rounds = self.seconds[name]
        return {key: median(seconds[key] for seconds in rounds) for key in rounds[0]}

    def ratio(self, name: str, key: str = "total") -> float | None:
        """The median ratio to the stock loop of the same library, if that runs too."""
        stock = self.seconds.get(f"stock-{counterpart(name)}")
        if not stock:
            return None
        pairs = zip(self.seconds[name], stock, strict=False)
        return median(own[key] / other[key] for own, other in pairs)

    def __str__(self) -> str:
        lines = [f"{'s per iteration':16}  total  rollout  update  of stock   CPU  of stock"]
        for name in self.seconds:
            figures = self.figures(name)
            ratios = [self.ratio(name, key) for key in ("total", "cpu")]
            shares = [f"{ratio:8.2f}" if ratio else " " * 8 for ratio in ratios]
            lines.append(
                f"{name:16}  {figures['total']:5.2f}  {figures['rollout']:7.2f}  "
                f"{figures['update']:6.2f}  {shares[0]}  {figures['cpu']:4.2f}  {shares[1]}"
            )
        return "\n".join(lines)

    def close(self):
        for pipe in self.pipes.values():
            pipe.close()
        for process in self.processes:
            process.join()


@contextlib.contextmanager
def busy_core() -> Iterator[None]:
    """Keeps one core busy with another process."""
    process = multiprocessing.get_context("spawn").Process(target=spin, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def spin() -> None:
    """Keeps a core busy for ever."""
    while True:
        pass


def missing(name: str) -> str | None:
    """Returns why a variant cannot run here, if it cannot."""
    if name == "sbx":
        packages = ("sbx",)
    else:
        packages = find_trainer(name.removeprefix("stock-")).packages
    absent = [package for package in packages if importlib.util.find_spec(package) is None]
    return f"{absent[0]} is not installed" if absent else None
