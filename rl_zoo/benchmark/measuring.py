# SPDX-License-Identifier: Apache-2.0
"""Measures the parts of a benchmark, and names their figures."""

import contextlib
import importlib.util
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from rl_zoo.benchmark.results import Figure
from rl_zoo.hints import missing as not_installed

Line = tuple[str, Figure | str]  # a figure, or why there is none


def environments(
    env_id: str, num_envs: int, num_threads: int, rounds: int, pretrained: bool
) -> list[Line]:
    """Returns the throughput of an environment, and of what else steps it.

    It is measured in a process of its own: EnvPool does not give all of its memory back. If that
    process dies, as one that takes too much memory does, other projects' code is left out.
    """
    from rl_zoo.benchmark import throughput as t

    gymnasiums, others = (t.SYNC, t.ASYNC), (t.ENVPOOL, t.MOTRIXSIM)
    given = env_id, num_envs, num_threads, rounds, pretrained
    try:
        return _in_a_process(_environments, *given, (*gymnasiums, *others))
    except BrokenProcessPool:
        reason = "left out: its process was killed, so it may need more memory; try --num-envs 256"
        lines = _in_a_process(_environments, *given, gymnasiums)
        return [*lines, (f"{_title(env_id, num_envs, pretrained)}: {' or '.join(others)}", reason)]


def _in_a_process(function: Callable[..., list[Line]], *args: Any) -> list[Line]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args).result()


def _title(env_id: str, num_envs: int, pretrained: bool) -> str:
    return f"{env_id} x {num_envs}, {'its policy' if pretrained else 'random actions'}"


def _environments(
    env_id: str,
    num_envs: int,
    num_threads: int,
    rounds: int,
    pretrained: bool,
    beside: Sequence[str],
) -> list[Line]:
    from rl_zoo.benchmark import throughput as t

    race, missing = t.race(
        env_id, num_envs, num_threads=num_threads, pretrained=pretrained, beside=beside
    )
    race.run(rounds)
    title = _title(env_id, num_envs, pretrained)
    lines: list[Line] = []
    for name in race.contestants:
        ratios = () if name == t.BARE else tuple(race.ratios(name))
        figure = Figure(race.rate(name), "steps/s", ratios, judged=name == t.OURS)
        label = f"{name} x {t.FEW}" if name in (t.SYNC, t.ASYNC) else name
        lines.append((f"{title}: {label}", figure))
        if name in (t.BARE, t.OURS, t.ENVPOOL):  # others may have processes of their own
            ratios = ratios and tuple(race.ratios(name, clock=1))
            figure = Figure(race.rate(name, clock=1), "steps/CPU-s", ratios, judged=name == t.OURS)
            lines.append((f"{title}: {label}, by CPU time", figure))
    race.close()
    return [*lines, *((f"{title}: {name}", reason) for name, reason in missing.items())]


def memory(env_id: str, num_envs: int) -> list[Line]:
    """Returns the memory per environment."""
    name = f"{env_id} x {num_envs}: memory per environment"
    if importlib.util.find_spec("psutil") is None:
        return [(name, not_installed("psutil", "dev"))]
    from rl_zoo.benchmark.memory import memory as added

    kib = 1024 * max(added(env_id, num_envs), 1e-3) / num_envs
    return [(name, Figure(kib, "KiB", judged=True))]


def learners(trainers: Sequence[str], rounds: int, busy: bool) -> Iterator[Line]:
    """Yields what an iteration of PPO costs each trainer, beside its library's own loop."""
    from rl_zoo.benchmark import learner

    for name in trainers:
        stock = f"stock-{name}"
        if reason := learner.missing(name):
            yield f"PPO iteration: {name}", reason
            continue
        race = learner.Race([name, stock])
        with learner.busy_core() if busy else contextlib.nullcontext():
            for _ in range(rounds):
                race.run(stock)
                race.run(name)
        race.close()
        pairs = zip(race.seconds[stock], race.seconds[name], strict=True)
        ratios = tuple(theirs["total"] / own["total"] for theirs, own in pairs)
        yield f"PPO iteration: {stock}", Figure(race.figures(stock)["total"], "s")
        yield f"PPO iteration: {name}", Figure(race.figures(name)["total"], "s", ratios, True)


def threshold(env_id: str, num_threads: int, **given: Any) -> list[Line]:
    """Returns steps and seconds until the goals are met on average, at two checks in a row.

    No change of them is judged: with other bits, another seed's luck is measured.
    """
    from rl_zoo.plans import plan_new
    from rl_zoo.tuning.objective import CHECK_EPISODES, Objective

    plan = plan_new(env_id, **given)
    found = Objective("steps", [plan.config.seed], CHECK_EPISODES, num_threads).threshold(plan)
    title = f"{env_id} with {plan.trainer}, seed {plan.config.seed}"
    if not found.reached:
        return [(title, "its goals were not met")]
    return [
        (f"{title}: steps to its goals", Figure(found.first["steps"], "steps")),
        (f"{title}: seconds to its goals", Figure(found.first["seconds"], "s")),
    ]
