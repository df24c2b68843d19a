# SPDX-License-Identifier: Apache-2.0
"""Policies from files that skrl and Stable-Baselines3 wrote.

A policy can be read if it has linear layers with one activation between them, and a standard
deviation that does not depend on the observation, or one as SAC, TQC and TD3 have it. What a file
does not say is taken to be the library's default: for skrl, a normaliser that clips at 5, and no
function on the output.

Such files are pickles or hold some, which can run code when they are read. `load_foreign` runs none
of it: see `adapters.unpickling`. Commands ask for `--allow-pickle` all the same, because several
libraries take part in the reading, and each might have a gap.
"""

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from adapters.foreign_files import READERS, Contents
from adapters.registry import MissingLibraryError
from adapters.unpickling import Arrays
from motrix_gym.policy import Policy
from motrix_gym.policy_files import PolicyError

# Suffix of a file -> the trainer whose library wrote it, and what the file is.
KINDS = {
    ".pt": ("skrl-torch", "a checkpoint of skrl on Torch"),
    ".pickle": ("skrl-jax", "a checkpoint of skrl on JAX"),
    ".zip": ("sb3", "a model of Stable-Baselines3"),
}


def load_foreign(path: str | Path, env: VectorEnv, activation: str) -> Policy:
    """Reads the policy of another library's file.

    The file is an `agent_*.pt` of skrl on Torch, an `agent_*.pickle` of skrl on JAX, or a `.zip` of
    Stable-Baselines3's PPO, A2C, SAC or TD3, or of sb3-contrib's TRPO or TQC. skrl's files hold the
    normaliser. Stable-Baselines3's is read from `vecnormalize.pkl`, which lies beside the zip or,
    as rl_zoo3 writes it, in a folder of the zip's name.

    Args:
        path: The file.
        env: What the policy is for; observations `Box (n, obs)`, actions `Box (n, act)`.
        activation: Of the hidden layers: "elu", "relu" or "tanh". It is used where the file does
            not say, as skrl's do not.

    Raises:
        PolicyError: the file cannot be read, or its policy is of another kind or size.
        MissingLibraryError: the library that the file needs is not installed.
    """
    path = Path(path)
    kind, what = KINDS[path.suffix]
    try:
        contents = READERS[kind](path)
        return _policy(contents, env, activation, {"trainer": kind, "source": path.name})
    except MissingLibraryError:
        raise
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from error
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # what a damaged file makes its reader stumble over is not foreseen
        raise PolicyError(
            f"{path} is not {what}, or is damaged ({type(error).__name__})"
        ) from error


def _policy(
    contents: Contents, env: VectorEnv, activation: str, metadata: dict[str, Any]
) -> Policy:
    """Returns the policy that a file holds; the arguments are those of `load_foreign`.

    Raises:
        PolicyError: its sizes are not the environment's, or its layers cannot be taken over.
    """
    layers, log_std = _layers(contents.network)
    observations, box = env.single_observation_space.shape, env.single_action_space
    has = layers[0][0].shape[0], layers[-1][0].shape[1]
    wanted = observations[0], box.shape[0]  # pyright: ignore[reportOptionalSubscript]
    env_id = env.spec.id if env.spec else "the environment"
    if has != wanted:
        raise PolicyError(
            f"the policy turns {has[0]} observations into {has[1]} actions, {env_id} has "
            f"{wanted[0]} and {wanted[1]}"
        )
    mean, std, clip = contents.normalizer or (np.zeros(wanted[0]), np.ones(wanted[0]), np.inf)
    return Policy(
        hidden=tuple(layers[:-1]),
        output=layers[-1],
        log_std=log_std,
        activation=contents.activation or activation,
        observation_mean=mean,
        observation_std=std,
        observation_clip=clip,
        action_low=box.low,  # pyright: ignore[reportAttributeAccessIssue]
        action_high=box.high,  # pyright: ignore[reportAttributeAccessIssue]
        metadata=metadata | {"env_id": env_id},
        **contents.features,
    )


def _layers(network: Arrays) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Returns the layers (weight (in, out), bias (out,)) and log_std (act,) of a policy.

    Raises:
        PolicyError: there is anything else, or something is missing.
    """
    rest = dict(network)
    names = [name for name in rest if name in ("log_std", "log_std_parameter")]
    if not names or rest[names[0]].ndim != 1:
        raise PolicyError(
            "there is no log_std, one number per action: only policies such as those of PPO, SAC "
            "or TD3 can be taken over"
        )
    log_std = rest.pop(names[0])
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    for name in [name for name in network if name.endswith(".weight")]:
        weight, bias = rest[name], rest.get(name.removesuffix("weight") + "bias")
        if weight.ndim == 2 and bias is not None and bias.shape == weight.shape[:1]:
            layers.append((rest.pop(name).T, bias))
            del rest[name.removesuffix("weight") + "bias"]
    if rest or not layers:
        odd = ", ".join(f"{name} {array.shape}" for name, array in rest.items()) or "nothing"
        raise PolicyError(f"only linear layers with biases can be taken over; there is {odd[:200]}")
    for (first, _), (second, _) in zip(layers[:-1], layers[1:], strict=True):
        if first.shape[1] != second.shape[0]:
            shapes = ", ".join(f"{weight.shape[0]} to {weight.shape[1]}" for weight, _ in layers)
            raise PolicyError(f"the layers do not follow one another: {shapes}")
    return layers, log_std
