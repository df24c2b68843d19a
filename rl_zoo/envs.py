# SPDX-License-Identifier: Apache-2.0
"""`motrix envs`: a table of the environments."""

import json
import sys
from collections.abc import Sequence
from typing import Any

from rl_zoo import cli


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = cli.parser("envs", "List the environments, and the best result of a policy that we ship.")
    style = p.add_mutually_exclusive_group()
    style.add_argument("--json", action="store_true", help="as JSON")
    style.add_argument("--markdown", action="store_true", help="as a Markdown table")
    args = p.parse_args(argv)

    from motrix_gym import list_envs

    entries = [describe(env_id) for env_id in list_envs()]
    if args.json:
        print(json.dumps(entries, indent=2))
        return 0
    rows = [("id", "observation", "action", "episode", "goals", "best known"), *map(_row, entries)]
    if args.markdown:
        rows.insert(1, ("---", "---:", "---:", "---", "---", "---"))
        print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    else:
        print(cli.table(rows, left=len(rows[0])))
    return 0


def describe(env_id: str) -> dict[str, Any]:
    """Returns an environment's sizes, episode, goals and best known result.

    `best` has, of the figures that the goals are about, or the return, the means of the shipped
    policy's evaluation; it is None where no policy is shipped.
    """
    from motrix_gym import registration
    from rl_zoo.config import env_name

    entry = registration.entry(env_id)
    steps = entry.config.max_episode_steps
    path = cli.PRETRAINED / env_name(env_id) / "evaluation.json"
    best = None
    if path.is_file():
        evaluation = json.loads(path.read_text())
        if evaluation["env_id"] == env_id:
            names = [goal.figure for goal in entry.goals] or ["return"]
            best = {name: evaluation["figures"][name]["mean"] for name in names}
    return {
        "id": env_id,
        "observation": sum(channel.size for channel in entry.task.observation),
        "action": sum(channel.size for channel in entry.task.action),
        "episode_steps": steps,
        "episode_seconds": steps and steps * entry.config.control_timestep,
        "goals": [str(goal) for goal in entry.goals],
        "best": best,
    }


def _row(about: dict[str, Any]) -> tuple[str, ...]:
    steps, best = about["episode_steps"], about["best"] or {}
    return (
        about["id"],
        str(about["observation"]),
        str(about["action"]),
        f"{steps:,} steps ({about['episode_seconds']:g} s)" if steps else "any length",
        ", ".join(about["goals"]) or "-",
        ", ".join(f"{name} {cli.number(value)}" for name, value in best.items()) or "-",
    )


if __name__ == "__main__":
    sys.exit(main())
