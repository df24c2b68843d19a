# SPDX-License-Identifier: Apache-2.0
"""A policy as one C header and one source, for a microcontroller.

They need a C99 compiler and its mathematical functions, and nothing else: no heap, no other file.
The arrays are constants, so a linker can leave them in flash.
"""

import textwrap
from collections.abc import Iterable, Iterator

import numpy as np

from motrix_gym import Policy
from rl_zoo.exporting.signature import Signature, signature

HEADER, SOURCE = "policy.h", "policy.c"

_HEADER = """\
/* A policy of {origin}. contract.json says what its numbers mean. */
#ifndef MOTRIX_POLICY_H
#define MOTRIX_POLICY_H

#ifdef __cplusplus
extern "C" {{
#endif

#define POLICY_OBSERVATION_SIZE {frame}
#define POLICY_ACTION_SIZE {actions}

/* What the policy remembers between two steps. */
typedef struct {{
    int started;
{members}}} policy_memory;

/* Call it where an episode begins. */
void policy_reset(policy_memory *memory);

/* One control step.
 * observation: the newest values of all channels, in their units.
 * action: from {low} to {high}.
{target_comment} */
{step};

#ifdef __cplusplus
}}
#endif

#endif
"""

_HELPERS = """\
static float bounded(float x, float low, float high) {
    return x < low ? low : (x > high ? high : x);
}

/* y = x weight + bias; a row of the weight belongs to an entry of x. */
static void linear(const float *x, int n, const float *weight, const float *bias, float *y, int m) {
    for (int j = 0; j < m; j++) y[j] = bias[j];
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) y[j] += x[i] * weight[i * m + j];
}
"""
_ACTIVATIONS = {
    "elu": "x > 0 ? x : expm1f(x)",
    "relu": "x > 0 ? x : 0",
    "tanh": "tanhf(x)",
}
_SIGMOID = """\

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
"""


def sources(policy: Policy) -> dict[str, str]:
    """Returns the two files, by name.

    Raises:
        ZooError: The policy does not say what its channels are.
    """
    form = signature(policy)
    return {HEADER: _header(policy, form), SOURCE: "".join(_source(policy, form))}


def _header(policy: Policy, form: Signature) -> str:
    members = "".join(f"    float {name}{_extents(s)};\n" for name, s in form.memory.items())
    target_comment = " * target: what the actuators are given; the contract has the unit.\n"
    low, high = (
        f"{b[0]:g}" if (b == b[0]).all() else "their bounds"
        for b in (policy.action_low, policy.action_high)
    )
    return _HEADER.format(
        origin=str(policy.metadata.get("env_id", "a task")).replace("*/", ""),
        frame=form.frame,
        actions=policy.action_size,
        members=members,
        low=low,
        high=high,
        target_comment=target_comment if form.target else "",
        step=_step(form),
    )


def _step(form: Signature) -> str:
    """The declaration of `policy_step`."""
    target = ", float target[POLICY_ACTION_SIZE]" if form.target else ""
    observation = "const float observation[POLICY_OBSERVATION_SIZE]"
    action = f"float action[POLICY_ACTION_SIZE]{target}"
    return f"void policy_step(policy_memory *memory, {observation},\n                 {action})"


def _source(policy: Policy, form: Signature) -> Iterator[str]:
    yield f'#include "{HEADER}"\n\n#include <math.h>\n#include <string.h>\n\n'
    arrays = policy.arrays()
    for unused in ("log_std", "log_std_weight", "observation_clip"):
        arrays.pop(unused, None)
    if form.target:
        arrays |= {f"target.{k}": v for k, v in vars(form.target).items()}
    for name, array in arrays.items():
        yield _constants("float", name.replace(".", "_"), map(_number, array.ravel()))
    if form.depth > 1:
        yield _constants("int", "sources", map(str, form.sources))
    yield f"\n{_HELPERS}"
    if policy.hidden:
        body = _ACTIVATIONS[policy.activation]
        yield f"\nstatic float activation(float x) {{ return {body}; }}\n"
    yield _SIGMOID if policy.lstm else ""
    yield "\nvoid policy_reset(policy_memory *memory) { memset(memory, 0, sizeof *memory); }\n"
    yield f"\n{_step(form)} {{\n"
    widths = [policy.observation_size, *(4 * n for n in form.lstm)]
    widest = max(*widths, *(bias.size for _, bias in policy.layers))
    yield f"    float x[{widest}], y[{widest}];\n"
    yield from _remember(form)
    yield from _normalise(policy, form)
    width = policy.observation_size
    for i, units in enumerate(form.lstm):
        yield from _lstm(i, width, units)
        width = units
    for i, (_, bias) in enumerate(policy.hidden):
        yield f"    linear(x, {width}, hidden_{i}_weight, hidden_{i}_bias, y, {bias.size});\n"
        yield f"    for (int j = 0; j < {bias.size}; j++) x[j] = activation(y[j]);\n"
        width = bias.size
    yield f"    linear(x, {width}, output_weight, output_bias, y, POLICY_ACTION_SIZE);\n"
    yield "    for (int j = 0; j < POLICY_ACTION_SIZE; j++) {\n"
    if policy.squash:
        span = "(action_high[j] - action_low[j])"
        yield f"        y[j] = action_low[j] + 0.5f * (tanhf(y[j]) + 1.0f) * {span};\n"
    yield "        action[j] = bounded(y[j], action_low[j], action_high[j]);\n"
    if form.target:
        yield "        float wanted = target_offset[j] + target_scale[j] * action[j];\n"
        yield "        target[j] = bounded(wanted, target_low[j], target_high[j]);\n"
    yield "    }\n    memory->started = 1;\n}\n"


def _remember(form: Signature) -> Iterator[str]:
    """The frames: shifted by one, or all the first one."""
    if form.depth == 1:
        return
    size = "sizeof memory->frames[0]"
    yield f"    for (int k = {form.depth - 1}; k > 0; k--) {{\n"
    yield "        const float *older = memory->started ? memory->frames[k - 1] : observation;\n"
    yield f"        memcpy(memory->frames[k], older, {size});\n"
    yield "    }\n"
    yield f"    memcpy(memory->frames[0], observation, {size});\n"


def _normalise(policy: Policy, form: Signature) -> Iterator[str]:
    size = policy.observation_size
    raw = "observation[j]"
    if form.depth > 1:
        yield "    const float *seen = &memory->frames[0][0];\n"
        raw = "seen[sources[j]]"
    yield f"    for (int j = 0; j < {size}; j++) {{\n"
    yield f"        x[j] = ({raw} - observation_mean[j]) / observation_std[j];\n"
    if np.isfinite(policy.observation_clip):
        clip = _number(np.float32(policy.observation_clip))
        yield f"        x[j] = bounded(x[j], -{clip}, {clip});\n"
    yield "    }\n"


def _lstm(i: int, width: int, units: int) -> Iterator[str]:
    gates = [f"sigmoid(y[j + {k * units}])" for k in (0, 1, 3)]
    yield f"    linear(x, {width}, lstm_{i}_input, lstm_{i}_bias, y, {4 * units});\n"
    yield f"    for (int k = 0; k < {units}; k++)\n"
    yield f"        for (int j = 0; j < {4 * units}; j++)\n"
    yield f"            y[j] += memory->h{i}[k] * lstm_{i}_recurrent[k * {4 * units} + j];\n"
    yield f"    for (int j = 0; j < {units}; j++) {{\n"
    yield f"        const float in = {gates[0]}, forget = {gates[1]}, out = {gates[2]};\n"
    yield f"        float *c = &memory->c{i}[j];\n"
    yield f"        *c = forget * *c + in * tanhf(y[j + {2 * units}]);\n"
    yield f"        x[j] = memory->h{i}[j] = out * tanhf(*c);\n"
    yield "    }\n"


def _extents(shape: tuple[int, ...]) -> str:
    return "".join(f"[{n}]" for n in shape)


def _constants(kind: str, name: str, values: Iterable[str]) -> str:
    """An array of constants, in lines of up to 100 characters."""
    values = list(values)
    text = textwrap.fill(", ".join(values), 100, initial_indent="    ", subsequent_indent="    ")
    return f"static const {kind} {name}[{len(values)}] = {{\n{text}\n}};\n"


def _number(value: np.floating) -> str:
    """A float32 as C writes it, exactly."""
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = f"{value:.9g}"
    return f"{text if any(c in text for c in '.e') else text + '.0'}f"
