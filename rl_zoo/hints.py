# SPDX-License-Identifier: Apache-2.0
"""Parts of messages: what the user should type, and messages cut to a readable length."""

import os
import shlex
import shutil
import sys
from pathlib import Path


def missing(package: str, extra: str) -> str:
    """A message for a package that is not installed and the extra that brings it."""
    return f'{package!r} is not installed: pip install "motrix-gym[{extra}]"'


def command_line(name: str, *words: str | Path) -> str:
    """What to type to run a command of the zoo, in the form in which this one was started."""
    if Path(sys.argv[0]).stem == "motrix":
        return shlex.join(["motrix", name, *map(str, words)])
    on_path = shutil.which("python")
    if on_path and os.path.dirname(on_path) == os.path.dirname(sys.executable):
        python = "python"
    else:
        python = os.path.relpath(sys.executable)
        python = sys.executable if python.startswith("..") else python
    return shlex.join([python, "-m", f"rl_zoo.{name}", *map(str, words)])


def short(message: str) -> str:
    """Returns a message as one line of at most 1200 characters."""
    from motrix_gym.names import one_line

    return one_line(message, 1200)
