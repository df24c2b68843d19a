# SPDX-License-Identifier: Apache-2.0
"""The goal of a stage, measured while the stage is trained."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters import Trainer
    from rl_zoo.plans import Plan

CHECKS = 20  # in the budget of a stage
EPISODES = 100  # of a check


class StageGoal:
    """Whether a stage's policy meets the goal that ends the stage.

    Args:
        plan: What is trained; its goal may be None, which is never met.
        num_threads: Threads for the physics; 0: all cores.

    Attributes:
        met: Whether the last check found it met.
        found: What the last check found, for the user; "" before it.
    """

    def __init__(self, plan: "Plan", num_threads: int):
        self.plan, self.num_threads = plan, num_threads
        self.met, self.found = False, ""

    def check(self, trainer: "Trainer") -> None:
        """Measures the policy in all environments of the stage, if a check is due.

        It depends on the policy alone, and so a resumed run finds the same.
        """
        from rl_zoo.evaluation import evaluate_policy

        goal, made, whole = self.plan.goal, trainer.num_updates, trainer.config.updates
        if not (goal and made) or CHECKS * made // whole == CHECKS * (made - 1) // whole:
            return
        policy, means, faults = trainer.policy(), dict[str, float](), 0
        for env_id in self.plan.rows:
            result = evaluate_policy(
                env_id,
                policy,
                episodes=EPISODES,
                purpose="choice",
                settings=self.plan.settings_of(env_id),
                num_threads=self.num_threads,
            )
            means[env_id] = float(result.figures[goal.figure].mean())
            faults += result.faults
        self.met = not faults and all(map(goal.met, means.values()))
        each = ", ".join(f"{mean:.4g} in {env_id}" for env_id, mean in means.items())
        self.found = f"goal {goal}: {'met' if self.met else 'not met'} ({each})"
