# SPDX-License-Identifier: Apache-2.0
"""`motrix pull`: a policy and its run from the Hugging Face Hub."""

from collections.abc import Sequence
from pathlib import Path

from rl_zoo import arguments, cli
from rl_zoo.hints import command_line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "pull",
        "Fetch a policy, and its run if that was pushed too, from the Hugging Face Hub.",
        "Only safetensors, JSON and the run's settings are fetched, which bring no code.",
    )
    p.add_argument("repository", metavar="USER/NAME")
    p.add_argument("--revision", metavar="R", help="branch, tag or commit (default main)")
    p.add_argument("--out", type=Path, metavar="DIR", help="default pulled/USER/NAME")
    args = p.parse_args(argv)
    from rl_zoo.sharing import files
    from rl_zoo.sharing.hub import Repository

    repository = Repository(args.repository)
    out = args.out or Path("pulled", *repository.name.split("/"))
    if left := files.fetch(repository, out, args.revision):
        print(f"left there: {', '.join(left)}")
    print(f"{out}\nplay it: {command_line('play', '--policy', out)}")
    if (out / files.RUN).exists():
        print(f"its run: {command_line('evaluate', '--run', out / files.RUN)}")
    return 0
