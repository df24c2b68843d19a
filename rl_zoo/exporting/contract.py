# SPDX-License-Identifier: Apache-2.0
"""The contract of an exported policy: a JSON that says all that a control loop needs.

`contract.schema.json`, beside this module, describes the contract in JSON Schema, 2020-12.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from motrix_gym import Policy
from motrix_gym.names import shown
from motrix_gym.settings import is_mapping
from rl_zoo.errors import ZooError
from rl_zoo.exporting.signature import Signature, signature

FILE = "contract.json"
FORMAT, VERSION = "motrix-policy-contract", 1
SCHEMA = Path(__file__).with_name("contract.schema.json")


def contract(policy: Policy, files: Mapping[str, bytes]) -> dict[str, Any]:
    """Returns the contract, plain JSON.

    Args:
        policy: The policy.
        files: Contents of the exported files by name.

    Raises:
        ZooError: The policy does not say what its channels are, or at which rate it acts.
    """
    form, metadata = signature(policy), policy.metadata
    deployment = dict(metadata.get("deployment") or {})
    if "control_timestep" not in deployment:
        raise ZooError(
            "the policy does not say at which rate it acts: train it anew, and export it"
        )
    about = deployment.pop("observation", {})
    value = deployment.pop("action", {}).get("value", "offset + scale * action")
    unit = deployment.get("units", {}).get("scale", "1")
    origin = {key: metadata.get(key) for key in ("env_id", "algo", "trainer", "seed", "env_steps")}
    bounds = zip(policy.action_low.tolist(), policy.action_high.tolist(), strict=True)
    return {
        "format": FORMAT,
        "version": VERSION,
        "origin": {key: value for key, value in origin.items() if value is not None},
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in files.items()},
        "inputs": _inputs(form),
        "outputs": _outputs(form, policy.action_size),
        "observation": [
            {"history": 1, "delay": 0, **channel, **about.get(channel["name"], {})}
            for channel in metadata["observation"]
        ],
        "action": [
            {"name": channel["name"], "unit": channel["unit"], "low": low, "high": high}
            for channel, (low, high) in zip(metadata["action"], bounds, strict=True)
        ],
        **({"target": _target(form, value, unit)} if form.target else {}),
        **deployment,
    }


def read(path: Path) -> dict[str, Any]:
    """Reads a contract.

    Raises:
        ZooError: The file cannot be read, is no contract, or is one of another version.
    """
    try:
        given = json.loads(path.read_bytes())
    except OSError as error:
        raise ZooError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ZooError(f"{path} is not JSON: {error}") from error
    if not is_mapping(given) or given.get("format") != FORMAT:
        raise ZooError(f"{path} is not the contract of an exported policy")
    if given.get("version") != VERSION:
        raise ZooError(
            f"{path} is a contract of version {shown(given.get('version'))}, and this program "
            f"reads version {VERSION}: export the policy anew"
        )
    return dict(given)


def _inputs(form: Signature) -> list[dict[str, Any]]:
    inputs = [{"name": "observation", "type": "float32", "shape": ["n", form.frame]}]
    if form.memory:
        inputs.append({"name": "start", "type": "bool", "shape": ["n"]})
    return inputs + _memory(form, "")


def _outputs(form: Signature, size: int) -> list[dict[str, Any]]:
    names = ["action", "target"] if form.target else ["action"]
    outputs = [{"name": name, "type": "float32", "shape": ["n", size]} for name in names]
    return outputs + _memory(form, "_next")


def _memory(form: Signature, suffix: str) -> list[dict[str, Any]]:
    return [
        {"name": name + suffix, "type": "float32", "shape": ["n", *shape]}
        for name, shape in form.memory.items()
    ]


def _target(form: Signature, value: str, unit: str) -> dict[str, Any]:
    numbers = {name: part.tolist() for name, part in vars(form.target).items()}
    unlimited = {name for name in ("low", "high") if not np.isfinite(numbers[name]).all()}
    return {"value": value, "unit": unit} | {
        name: part for name, part in numbers.items() if name not in unlimited
    }
