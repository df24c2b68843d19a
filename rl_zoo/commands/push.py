# SPDX-License-Identifier: Apache-2.0
"""`motrix push`: a policy and its run, or an environment, to the Hugging Face Hub."""

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo import arguments, cli
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import command_line

if TYPE_CHECKING:
    from rl_zoo.policy_search import Found
    from rl_zoo.sharing.hub import Repository

EPISODES = 1000  # of an evaluation, where there is none yet


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    from rl_zoo.sharing.hub import Repository

    repository = Repository(args.repository)
    with tempfile.TemporaryDirectory() as scratch:
        if args.environment:
            files, what = _environment(args, repository)
        else:
            found = arguments.policy_asked_for(args)
            print(found.label, flush=True)
            files, what = _policy(found, repository, Path(scratch), args.out is None), found.env_id
        if args.out:
            _write(args.out, files)
            print(f"{args.out}: {', '.join(files)}")
            return 0
        print(repository.write(files, f"{what}, by motrix push", private=args.private))
    if not args.environment:
        print(f"fetch it: {command_line('pull', repository.name)}")
    return 0


def _environment(
    args: argparse.Namespace, repository: "Repository"
) -> tuple[Mapping[str, bytes | Path], str]:
    from rl_zoo.environments import DEFAULT_ENV, find_env
    from rl_zoo.sharing.lerobot import environment

    if args.run or args.policy:
        raise UsageError("--environment has no policy: leave out --run and --policy")
    env_id = find_env(args.env or DEFAULT_ENV)
    return environment(env_id, repository.name), env_id


def _policy(
    found: "Found", repository: "Repository", scratch: Path, sent: bool
) -> dict[str, bytes | Path]:
    """Returns the files of a policy's repository; asks the Hub for the card, if they are sent."""
    from rl_zoo.runs import EVALUATION
    from rl_zoo.sharing import card, files

    old = repository.existing(card.FILE) if sent else None
    of_run, manifest = files.of_run(found.run) if found.run else ({}, None)
    figures = _evaluation(found)
    text = card.card(repository.name, figures, found.policy.metadata, manifest, old)
    return {
        card.FILE: text.encode(),
        EVALUATION: json.dumps(figures, indent=2).encode() + b"\n",
        **files.of_policy(found.policy, scratch),
        **of_run,
    }


def _evaluation(found: "Found") -> dict[str, Any]:
    """Returns the policy's evaluation: the one that lies with it, or else one that is made now."""
    from rl_zoo.evaluation import evaluate_policy
    from rl_zoo.runs import EVALUATION

    path = found.folder / EVALUATION if found.folder else None
    if path and path.exists() and not _is_older(path, found):
        try:
            stored = json.loads(path.read_bytes())
            if (stored["env_id"], stored["schema_version"]) == (found.env_id, 2):
                return stored
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise ZooError(f"{path} cannot be read: {error}") from error
    print(f"evaluating it over {EPISODES} episodes ...", flush=True)
    made = evaluate_policy(found.env_id, found.policy, episodes=EPISODES, settings=found.settings)
    return made.as_dict()


def _is_older(path: Path, found: "Found") -> bool:
    """Whether an evaluation is older than the policy, as in a run that was resumed since."""
    if found.run is None:
        return False
    policy = found.run.policy_folder() / "policy.json"
    return path.stat().st_mtime < policy.stat().st_mtime


def _write(out: Path, files: Mapping[str, bytes | Path]) -> None:
    from motrix_gym.files import write_file

    for name, content in files.items():
        data = content if isinstance(content, bytes) else content.read_bytes()
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        write_file(out / name, data)


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "push",
        "Push a policy, with its run and a model card, to the Hugging Face Hub.",
        "The card has the figures of the policy's evaluation. HF_TOKEN, or hf auth login, says who "
        "you are.",
    )
    p.add_argument("repository", metavar="USER/NAME", help="made if need be")
    arguments.add_source_arguments(p)
    p.add_argument(
        "--environment",
        action="store_true",
        help="the environment instead, for LeRobot's make_env(USER/NAME)",
    )
    p.add_argument("--private", action="store_true", help="a new repository is yours alone")
    p.add_argument("--out", type=Path, metavar="DIR", help="write the files here; send nothing")
    return p
