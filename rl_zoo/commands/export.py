# SPDX-License-Identifier: Apache-2.0
"""`motrix export`: a policy as an ONNX file and as C, with a contract for control loops."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rl_zoo import arguments, cli
from rl_zoo.errors import UsageError
from rl_zoo.exporting import FORMATS
from rl_zoo.hints import command_line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    if args.check:
        from rl_zoo.exporting.check import check

        for name, difference in check(args.check).items():
            print(f"{args.check / name}: actions differ by at most {difference:.1e}")
        return 0
    if args.opset and "onnx" not in args.format:
        raise UsageError("--opset is of ONNX: leave it out, or add --format onnx")
    found = arguments.policy_asked_for(args)
    from rl_zoo.config import env_name
    from rl_zoo.exporting.write import export

    folder = args.out or Path("exported") / env_name(found.env_id)
    export(found.policy, folder, args.format, args.opset)
    print(f"{found.label} of {found.env_id}: {folder}")
    print(f"check it: {command_line('export', '--check', folder)}")
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "export",
        "Write a policy as an ONNX file and as C, with all that a control loop needs in "
        "contract.json.",
    )
    arguments.add_source_arguments(p)
    p.add_argument("--out", type=Path, metavar="DIR", help="default exported/NAME")
    p.add_argument(
        "--format", nargs="+", choices=FORMATS, default=FORMATS, metavar="F", help="onnx, c or both"
    )
    p.add_argument("--opset", type=int, metavar="N", help="ONNX operator set (default 17)")
    p.add_argument(
        "--check", type=Path, metavar="DIR", help="run what was exported beside the policy, instead"
    )
    return p
