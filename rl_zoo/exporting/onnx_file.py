# SPDX-License-Identifier: Apache-2.0
"""A policy as an ONNX graph; `rl_zoo.exporting.signature` has its inputs and outputs.

The first axis of each is the rows, of any number. `start` is an input of policies with memory only.
An input NAME of the memory has an output NAME_next.
"""

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from motrix_gym import Policy
from rl_zoo.errors import UsageError
from rl_zoo.exporting.signature import Signature, signature

OPSET = 17
OLDEST = 13  # the first in which Split and Unsqueeze take what they need as inputs


def build(policy: Policy, opset: int = OPSET) -> onnx.ModelProto:
    """Returns the graph.

    Raises:
        UsageError: The opset lacks an operator, or this version of onnx does not know it.
        ZooError: The policy does not say what its channels are.
    """
    newest = onnx.defs.onnx_opset_version()
    if not OLDEST <= opset <= newest:
        raise UsageError(
            f"opset {opset} lacks operators of the policy, or is unknown to onnx "
            f"{onnx.__version__}: choose {OLDEST} to {newest}"
        )
    form, graph = signature(policy), _Graph()
    x, memory = _remembered(graph, form, "observation")
    x = graph.add("Sub", x, graph.constant(policy.observation_mean))
    x = graph.add("Div", x, graph.constant(policy.observation_std))
    if np.isfinite(policy.observation_clip):
        clip = np.float32(policy.observation_clip)
        x = graph.add("Clip", x, graph.constant(-clip), graph.constant(clip))
    for i, layer in enumerate(policy.lstm):
        x, cell = _lstm(graph, x, _state(graph, f"h{i}"), _state(graph, f"c{i}"), layer)
        memory |= {f"h{i}": x, f"c{i}": cell}
    for weight, bias in policy.hidden:
        x = graph.add(_ACTIVATIONS[policy.activation], _linear(graph, x, weight, bias))
    x = _linear(graph, x, *policy.output)
    low, high = graph.constant(policy.action_low), graph.constant(policy.action_high)
    if policy.squash:
        half = graph.constant((policy.action_high - policy.action_low) / 2)
        x = graph.add("Add", graph.add("Tanh", x), graph.constant(np.float32(1)))
        x = graph.add("Add", graph.add("Mul", x, half), low)
    results = {"action": _bounded(graph, x, low, high)}
    if target := form.target:
        x = graph.add("Mul", results["action"], graph.constant(target.scale))
        x = graph.add("Add", x, graph.constant(target.offset))
        limits = graph.constant(target.low), graph.constant(target.high)
        results["target"] = _bounded(graph, x, *limits)
    results |= {f"{name}_next": value for name, value in memory.items()}
    return _model(graph, form, results, policy.action_size, opset)


_ACTIVATIONS = {"elu": "Elu", "relu": "Relu", "tanh": "Tanh"}


class _Graph:
    """Nodes and constants, as they are added; a value is known by its name."""

    def __init__(self):
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """Adds a constant."""
        name = f"constant{len(self.constants)}"
        array = np.array(value, dtype, order="C")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Adds a node; returns the name of its output, or a list of names if there are several."""
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names[0] if outputs == 1 else names

    def name(self, value: str, name: str) -> None:
        """Gives a value another name, such as that of an output."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))


def _linear(graph: _Graph, x: str, weight: np.ndarray, bias: np.ndarray) -> str:
    return graph.add("Add", graph.add("MatMul", x, graph.constant(weight)), graph.constant(bias))


def _bounded(graph: _Graph, x: str, low: str, high: str) -> str:
    return graph.add("Min", graph.add("Max", x, low), high)


def _remembered(graph: _Graph, form: Signature, frame: str) -> tuple[str, dict[str, str]]:
    """Returns what the network sees, and the frames to remember, if there are several."""
    if form.depth == 1:
        return frame, {}
    row = graph.add("Unsqueeze", frame, graph.constant([1], np.int64))  # (n, 1, frame)
    bounds = [graph.constant([k], np.int64) for k in (0, form.depth - 1, 1)]
    past = graph.add("Slice", "frames", *bounds)
    later = graph.add("Concat", row, past, axis=1)
    first = graph.add("Expand", row, graph.constant([1, form.depth, 1], np.int64))
    start = graph.add("Unsqueeze", "start", graph.constant([1, 2], np.int64))
    frames = graph.add("Where", start, first, later)
    flat = graph.add("Reshape", frames, graph.constant([0, form.depth * form.frame], np.int64))
    sources = graph.constant(form.sources, np.int64)
    return graph.add("Gather", flat, sources, axis=1), {"frames": frames}


def _state(graph: _Graph, name: str) -> str:
    """Returns a state of the LSTM, 0 where an episode starts."""
    start = graph.add("Unsqueeze", "start", graph.constant([1], np.int64))
    return graph.add("Where", start, graph.constant(np.float32(0)), name)


def _lstm(
    graph: _Graph, x: str, output: str, cell: str, layer: tuple[np.ndarray, ...]
) -> tuple[str, str]:
    """Returns the next output and cell of an LSTM layer."""
    inputs, recurrent, bias = layer
    gates = graph.add(
        "Add",
        _linear(graph, x, inputs, bias),
        graph.add("MatMul", output, graph.constant(recurrent)),
    )
    sizes = graph.constant([recurrent.shape[0]] * 4, np.int64)
    write, keep, new, read = graph.add("Split", gates, sizes, outputs=4, axis=1)
    kept = graph.add("Mul", graph.add("Sigmoid", keep), cell)
    written = graph.add("Mul", graph.add("Sigmoid", write), graph.add("Tanh", new))
    cell = graph.add("Add", kept, written)
    return graph.add("Mul", graph.add("Sigmoid", read), graph.add("Tanh", cell)), cell


def _model(
    graph: _Graph, form: Signature, results: dict[str, str], actions: int, opset: int
) -> onnx.ModelProto:
    memory = form.memory
    inputs = {"observation": (form.frame,), **memory}
    outputs = {"action": (actions,), "target": (actions,)}
    outputs |= {f"{name}_next": shape for name, shape in memory.items()}
    for name, value in results.items():
        graph.name(value, name)
    described = [_value(name, shape) for name, shape in inputs.items()]
    if memory:
        described.insert(1, helper.make_tensor_value_info("start", TensorProto.BOOL, ["n"]))
    made = helper.make_graph(
        graph.nodes,
        "policy",
        described,
        [_value(name, outputs[name]) for name in results],
        graph.constants,
    )
    versions = [helper.make_opsetid("", opset)]
    model = helper.make_model(made, producer_name="motrix-gym", opset_imports=versions)
    model.ir_version = helper.find_min_ir_version_for(versions)
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
