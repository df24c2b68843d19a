# SPDX-License-Identifier: Apache-2.0
"""`motrix results`: the tables and curves of all environments, from stored evaluations.

Nothing is trained or evaluated. Results over seeds are read from what `motrix compare` stored,
those of shipped policies from `rl_zoo/pretrained`.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments, cli
from rl_zoo.commands import compare
from rl_zoo.errors import UsageError

if TYPE_CHECKING:
    from rl_zoo.comparison.results import Comparison

FOLDER = Path("docs/results")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    p = arguments.parser(
        "results",
        "Make the tables and curves of all environments from stored evaluations.",
        "Writes results.md, which has them all, and comparison.md and comparison.png, as motrix "
        "compare --from does.",
    )
    add_stored(p)
    p.add_argument("--out", type=Path, default=FOLDER, help=f"folder (default {FOLDER})")
    args = p.parse_args(argv)

    from motrix_gym import list_envs
    from rl_zoo.comparison.overview import overview, shipped_policies

    comparisons = read_stored(args.stored)
    page = overview(comparisons, shipped_policies(), list_envs())
    words = ["--from", *map(str, args.stored or _files()), "--out", str(args.out)]
    files = compare.pages(comparisons, compare.tables(comparisons), words)
    files |= {"results.md": page.encode()}
    compare.write_files(args.out, files)
    print(f"{page}\n{shlex.join(str(args.out / name) for name in files)}")
    return 0


def add_stored(p: argparse.ArgumentParser) -> None:
    """Adds `--from`, the files that `read_stored` reads."""
    p.add_argument(
        "--from",
        nargs="+",
        type=Path,
        dest="stored",
        metavar="FILE",
        help=f"what motrix compare wrote as comparison.json (default {FOLDER}/*.json)",
    )


def read_stored(files: Sequence[Path] | None) -> "list[Comparison]":
    """Returns the comparisons of some files, by default of those in docs/results.

    Raises:
        UsageError: No file is given, and there is none.
        ZooError: A file cannot be read, or files contradict each other.
    """
    from rl_zoo.comparison.stored import merged

    return merged(files or _files(), strict=False)


def _files() -> list[Path]:
    files = sorted(FOLDER.glob("*.json"))
    if not files:
        raise UsageError(f"there is no {FOLDER}/*.json here: name files, --from FILE")
    return files
