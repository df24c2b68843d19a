# SPDX-License-Identifier: Apache-2.0
"""The environments, shipped policies and trainers compute what was recorded (`recording.py`).

Each step starts from a recorded state, so what another processor rounds otherwise (1e-16 of a
float64 per operation, and the stopping of MuJoCo's solver at its tolerance of 1e-8) has only the
few physics steps of one control step to grow in: 1e-5 is far above it, and far below any change of
a formula, a unit, an order or a draw. Observations and actions are float32. A policy's sums of 128
float32 products, three layers deep, differ by some 1e-6 times the size of its outputs.
"""

import numpy as np
import pytest
from recording import (
    FOLDER,
    PPO_ENV,
    SEED,
    acted,
    env_name,
    list_envs,
    make,
    outputs,
    update_effect,
)

from adapters import TRAINERS, MissingLibraryError, Policy, load_trainer
from rl_zoo import policies


def recorded(name: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def below(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): x for k, x in arrays.items() if k.startswith(prefix)}


def test_what_is_recorded_is_of_an_id():
    # A new id is recorded when its results are to last; an old one is not forgotten.
    names = {env_name(env_id) for env_id in list_envs()} | set(TRAINERS)
    assert {path.stem.removesuffix("-policy") for path in FOLDER.glob("*.npz")} <= names


@pytest.mark.parametrize(
    "env_id", [i for i in list_envs() if (FOLDER / f"{env_name(i)}.npz").exists()]
)
def test_steps_from_recorded_states_give_what_they_gave(env_id):
    arrays = recorded(env_name(env_id))
    env = make(env_id)
    observation, _ = env.reset(seed=SEED)
    np.testing.assert_allclose(observation, arrays.pop("reset"), rtol=1e-5, atol=1e-5)
    steps = {name.partition("/")[0] for name in arrays}
    assert len(steps) == 5
    for step in steps:
        env.unwrapped.restore(below(arrays, f"{step}/before/"))
        expected = below(arrays, f"{step}/after/")
        found = outputs(env.step(arrays[f"{step}/action"]))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            message = f"{name} of step {step}"
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-5, err_msg=message)


@pytest.mark.parametrize(
    "env_id", [i for i in list_envs() if (FOLDER / f"{env_name(i)}-policy.npz").exists()]
)
def test_shipped_policies_act_as_they_did(env_id):
    arrays = recorded(f"{env_name(env_id)}-policy")
    policy = Policy.load(policies.PRETRAINED / env_name(env_id))
    np.testing.assert_allclose(
        acted(policy, arrays["observation"]), arrays["action"], rtol=0, atol=1e-4
    )


@pytest.mark.parametrize("trainer", TRAINERS)
def test_an_update_has_the_effect_that_it_had(trainer):
    # Adam divides by the size of a gradient, so what rounding does to a tiny one is not tiny; but
    # most are not tiny. A tenth of the effect allows for it. An update of other samples, in another
    # order or from other weights differs by as much as it does.
    try:
        load_trainer(trainer)
    except MissingLibraryError as error:
        pytest.skip(str(error))
    observation = recorded(f"{env_name(PPO_ENV)}-policy")["observation"]
    old = recorded(trainer)
    before, after = update_effect(trainer, PPO_ENV, observation).values()
    np.testing.assert_allclose(before, old["before"], rtol=0, atol=1e-5)
    effect = np.linalg.norm(old["after"] - old["before"])
    assert effect > 1e-3
    assert np.linalg.norm(after - old["after"]) < 0.1 * effect
