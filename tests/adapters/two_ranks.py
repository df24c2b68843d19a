# SPDX-License-Identifier: Apache-2.0
"""One of two processes that learn together; `test_ranks` starts both and reads what they leave.

    RANK=0 WORLD_SIZE=2 ... python -m tests.adapters.two_ranks TRAINER UPDATES FOLDER

After each update it stores what it learned from and its whole state. Then a second trainer starts
from the state in the middle and makes the other half again.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from adapters import PPOConfig, load_trainer, ranks
from adapters.ranks import Place, Ranks
from tests.adapters.envs import PointEnv

Arrays = dict[str, np.ndarray]

SETTINGS = {
    "seed": 3,
    "num_envs": 8,
    "max_env_steps": 10**6,
    "rollouts": 12,
    "learning_epochs": 2,
    "mini_batches": 1,  # so that the order of the samples, which each rank draws, does not matter
    "policy_hidden_layer_sizes": (16, 8),
    "value_hidden_layer_sizes": (16, 8),
    "initial_log_std": -0.5,
    "share_policy_value_features": False,
}


def make(name: str, place: Place) -> Any:
    config = place.share(PPOConfig(**SETTINGS))
    return load_trainer(name)(PointEnv(config.num_envs), config)


def collected(trainer: Any) -> Arrays:
    """What a trainer learns from next, by name; the rows of the environment are the second axis."""
    if trainer.name == "sb3":
        buffer = trainer.model.rollout_buffer
        names = ("observations", "actions", "values", "log_probs", "advantages", "returns")
        return {name: getattr(buffer, name).copy() for name in names}
    agent = trainer.agent
    if trainer.name == "skrl-jax":
        agent._evaluate_final_observations()
        observations = np.stack([np.array(x) for x in agent._observations])
        return {k: v.copy() for k, v in agent.rollout.items()} | {"observations": observations}
    names = agent.memory.get_tensor_names()
    tensors = {name: agent.memory.get_tensor_by_name(name).clone() for name in names}
    return {k: v.numpy() for k, v in tensors.items()} | {
        "next": agent._current_next_observations.numpy()[None].copy()
    }


def collect(trainer: Any, arrays: Arrays) -> None:
    """Has the trainer learn from what was `collected`, instead of collecting."""
    if trainer.name == "sb3":
        buffer = trainer.model.rollout_buffer
        buffer.reset()
        buffer.full, buffer.pos = True, buffer.buffer_size
        for name, array in arrays.items():
            setattr(buffer, name, array.copy())
        return
    agent = trainer.agent
    if trainer.name == "skrl-jax":
        import jax.numpy as jnp

        agent.start()
        agent._observations = [jnp.array(x) for x in arrays["observations"]]
        for name in agent.rollout:
            agent.rollout[name][:] = arrays[name]
        return
    import torch

    for name in agent.memory.get_tensor_names():
        agent.memory.get_tensor_by_name(name)[:] = torch.tensor(arrays[name])
    agent._current_next_observations = torch.tensor(arrays["next"][0])


def connect(name: str, place: Place) -> Ranks:
    if name == "skrl-jax":
        from adapters.jax_ranks import JaxRanks

        return JaxRanks(place)
    import torch

    from adapters.torch_ranks import TorchRanks

    torch.set_num_threads(1)
    return TorchRanks(place)


def save(path: Path, arrays: Arrays) -> None:
    np.savez(path, allow_pickle=False, **arrays)


def main(name: str, updates: int, folder: Path) -> None:
    place = Place.of_environment()
    mine = connect(name, place)
    ranks.set_current(mine)
    trainer = make(name, place)
    middle: Arrays = {}
    for number in range(1, updates + 1):
        trainer.__dict__.pop("_collect", None)
        trainer._collect()
        save(folder / f"rollout-{place.rank}-{number}.npz", collected(trainer))
        trainer._collect = lambda: None
        trainer.update()
        save(folder / f"state-{place.rank}-{number}.npz", trainer.state())
        whole = mine.whole_state(trainer.state(), trainer.own_state)
        if number == updates // 2 and place.rank == 0:
            save(folder / "whole.npz", whole)
    mine.gathered("written")
    middle = dict(np.load(folder / "whole.npz"))
    again = make(name, place)
    again.restore(mine.part_of_state(middle, again.own_state, None))
    for _ in range(updates - updates // 2):
        again.update()
    save(folder / f"again-{place.rank}.npz", again.state())
    mine.gathered("done")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
