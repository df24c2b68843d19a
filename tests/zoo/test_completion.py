# SPDX-License-Identifier: Apache-2.0
"""`motrix` alone, and what it answers a shell whose user pressed Tab."""

import os
import subprocess
import sys

import pytest

from rl_zoo.__main__ import COMMANDS
from rl_zoo.__main__ import main as motrix


def test_motrix_alone_tells_five_commands(capsys):
    assert motrix([]) == 0
    lines = capsys.readouterr().out.splitlines()
    told = [line.split()[1] for line in lines if line.startswith("  motrix ")]
    assert len(told) == len(set(told)) == 5 and set(told) <= set(COMMANDS)
    assert max(map(len, lines)) <= 80


@pytest.mark.skipif(sys.platform == "win32", reason="shells of another kind")
@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("motrix ev", ["evaluate "]),
        ("motrix train --env Motrix/Cart", ["Motrix/CartPole-v0 "]),
        ("motrix compare --trainers skrl-jax sb", ["sb3 "]),
        ("motrix nonsense --tr", []),
    ],
)
def test_a_shell_is_answered(line, answer, tmp_path):
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "answer"),
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "rl_zoo"]
    found = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True)
    assert (found.stdout, found.stderr) == ("", "")
    assert (tmp_path / "answer").read_text().splitlines() == answer
