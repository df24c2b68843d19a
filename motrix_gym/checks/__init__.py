# SPDX-License-Identifier: Apache-2.0
"""A checker for vector environments; Gymnasium has one for single environments only.

``check_vector_env(env)`` plays with an environment and raises a ``VectorEnvError`` at the first
rule that it breaks. It works on any ``gymnasium.vector.VectorEnv``.

Every rule is a function, whose name is the rule's. Some look at the environment itself
(``env_rules``), some at every step of one long run (``step_rules``), and some play runs of their
own (``run_rules``).
"""

from collections.abc import Callable, Collection
from typing import Any

from gymnasium.vector import VectorEnv

from motrix_gym.checks.env_rules import ENV_RULES
from motrix_gym.checks.player import Player, time_limit_of
from motrix_gym.checks.requirement import VectorEnvError
from motrix_gym.checks.run_rules import RUN_RULES
from motrix_gym.checks.step_rules import STEP_RULES

__all__ = ["ENV_RULES", "RUN_RULES", "STEP_RULES", "VectorEnvError", "check_vector_env"]


def check_vector_env(
    env: Any, *, seed: int = 0, steps: int | None = None, skip: Collection[str] = ()
) -> None:
    """Check that a vector environment keeps the rules of its interface.

    The environment is reset and stepped, with random actions, and not closed. Rules on the ends
    of episodes see only the episodes that end within ``steps``: an environment made with a short
    time limit is checked best. Features that only some have (``snapshot`` and ``restore``,
    ``info["reward_terms"]``, a known time limit) are checked where they are found.

    Args:
        env: the ``gymnasium.vector.VectorEnv``, wrapped or not; a handful of copies is enough, and
            faster.
        seed: the environment's and the actions' seed.
        steps: length of the long run; by default 50 more than the time limit, or than 300 where
            there is none, or than 1000 where it is longer.
        skip: names of rules to leave out.

    Raises:
        VectorEnvError: at the first rule that is broken, which the message names.
        ValueError: if ``skip`` has a name that is no rule.
        TypeError: if ``env`` is not a vector environment.
    """
    if not isinstance(env, VectorEnv):
        raise TypeError(f"{env} is no gymnasium.vector.VectorEnv: make it with gymnasium.make_vec")
    names = [rule.__name__ for rule in (*ENV_RULES, *STEP_RULES, *RUN_RULES)]
    if unknown := sorted(set(skip) - set(names)):
        raise ValueError(f"there are no rules {unknown}: the rules are {', '.join(names)}")

    def apply(rules: tuple[Callable[..., None], ...], *args: Any) -> None:
        for rule in rules:
            if rule.__name__ not in skip:
                _apply(rule, *args)

    apply(ENV_RULES, env)
    player = Player(env, seed)
    if steps is None:
        steps = min(1000, time_limit_of(env) or 300) + 50
    for step in player.play(player.actions(steps)):
        apply(STEP_RULES, player, step)
    apply(RUN_RULES, player)


def _apply(rule: Callable[..., None], *args: Any) -> None:
    """Apply a rule; its name goes in front of the message."""
    try:
        rule(*args)
    except VectorEnvError as error:
        raise VectorEnvError(f"{rule.__name__}: {error}") from None
