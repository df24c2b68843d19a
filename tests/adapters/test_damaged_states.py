# SPDX-License-Identifier: Apache-2.0
"""A damaged state is refused, or the trainer can continue from it."""

import gymnasium
import numpy as np
import pytest

from adapters import ALGORITHMS, TRAINERS
from rl_zoo.policies import PRETRAINED
from tests.adapters.trainers import load_or_skip

ENV = "Motrix/CartPole-v0"
PAIRS = [(name, algo) for name in TRAINERS for algo in TRAINERS[name].classes]
SIZES = {"policy_hidden_layer_sizes": (4,), "value_hidden_layer_sizes": (4,)}
ROLLOUT = SIZES | {"rollouts": 4, "mini_batches": 1}
REPLAY = SIZES | {"learning_starts": 8, "buffer_size": 64, "batch_size": 8}
TEACHER = str(PRETRAINED / "CartPole-v0")
STUDENT = {"teacher": TEACHER, "policy_hidden_layer_sizes": (4,), "lstm_hidden_size": 4}
SETTINGS = {
    "ppo": ROLLOUT,
    "trpo": ROLLOUT,
    "recurrent_ppo": ROLLOUT,
    "ars": {},
    "distill": STUDENT | {"rollouts": 4, "mini_batches": 1},
}

ODD = {
    "missing": lambda array: None,
    "longer": lambda array: np.stack([array, array]),
    "shorter": lambda array: array[:-1] if array.ndim else np.zeros(0, array.dtype),
    "other type": lambda array: array.astype(np.int8),
    "not a number": lambda array: (
        np.full_like(array, np.nan) if array.dtype.kind == "f" else np.full_like(array, 255)
    ),
}


@pytest.mark.parametrize(("name", "algo"), PAIRS, ids=lambda text: text)
@pytest.mark.filterwarnings("ignore")  # of numbers that overflow
def test_an_odd_array_in_a_state_is_refused_or_harmless(name, algo):
    trainer_class = load_or_skip(name, algo)
    config = ALGORITHMS[algo](seed=0, num_envs=4, **SETTINGS.get(algo, REPLAY))
    mode = trainer_class.autoreset_mode
    env = gymnasium.make_vec(ENV, 4, num_threads=1, max_episode_steps=4, autoreset_mode=mode)
    trainer = trainer_class(env, config)
    for _ in range(4):
        trainer.update()
    whole = trainer.state()
    refused = 0
    for key, array in whole.items():
        for what, change in ODD.items():
            odd = change(array)
            state = {k: v for k, v in whole.items() if k != key}
            try:
                trainer.restore(state if odd is None else state | {key: odd})
            except Exception:  # any will do: the command tells it as a damaged state
                refused += 1
                continue
            try:
                trainer.update()
            except Exception as error:
                raise AssertionError(f"{what} {key} was restored, and then failed") from error
    assert refused > len(whole)
    trainer.restore(whole)
