# SPDX-License-Identifier: Apache-2.0
"""What a command does when its output cannot be written, and when it is stopped as it starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from motrix_gym import vector_env
from rl_zoo import arguments, errors

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="has other streams and signals")
ROOT = str(Path(__file__).parents[2])
# Ways to run a command, `motrix` among them, as the installed script does it.
MOTRIX = ["-c", "import sys; from rl_zoo.__main__ import main; sys.exit(main())"]
PACKAGE = ["-m", "rl_zoo"]
WAYS = {
    "motrix": [*MOTRIX, "envs"],
    "package": [*PACKAGE, "envs"],
    "module": ["-m", "rl_zoo.envs"],
    "motrix-help": [*MOTRIX, "--help"],
    "package-help": [*PACKAGE, "--help"],
    "command-help": [*PACKAGE, "evaluate", "--help"],
    "module-help": ["-m", "rl_zoo.evaluate", "--help"],
}
every_way = pytest.mark.parametrize("arguments", WAYS.values(), ids=WAYS)
buffered = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def run(arguments, redirection="", path=(), **environment):
    """Runs Python with its streams redirected by a shell; returns status, output and errors."""
    found = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {redirection}', sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([*map(str, path), ROOT])} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return found.returncode, found.stdout, found.stderr


@every_way
@buffered
def test_a_reader_may_have_enough(arguments, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    found = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | {"PYTHONPATH": ROOT, "PYTHONUNBUFFERED": unbuffered},
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    assert (found.returncode, found.stderr) == (errors.FAILED, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@every_way
@buffered
def test_output_that_cannot_be_written_is_told_in_one_line(arguments, unbuffered):
    status, _, error = run(arguments, "> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert status == errors.FAILED
    assert error.startswith("error: ") and error.endswith("No space left on device\n")
    assert error.count("\n") == 1


@every_way
def test_a_closed_output_swallows_what_is_printed(arguments):
    assert run(arguments, ">&-") == (0, "", "")


def test_closed_errors_do_not_go_into_the_output():
    assert run([*PACKAGE, "nonsense"], "2>&-") == (errors.MISUSED, "", "")


def test_what_a_terminal_cannot_show_is_escaped():
    program = "from rl_zoo import cli; cli.run(lambda argv: print('\u00fc \u00b1 1') or 0, [])"
    for encoding, shown in {"ascii": r"\xfc \xb1 1", "utf-8": "\u00fc \u00b1 1"}.items():
        found = run(["-c", program], PYTHONIOENCODING=encoding)
        assert found == (0, f"{shown}\n", "")
    assert run(["-c", program], LC_ALL="C")[::2] == (0, "")


CTRL_C = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)\n"
# What C++ modules make of it, as they begin.
TURNED = """
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)
except KeyboardInterrupt as error:
    raise ImportError("initialization failed") from None
"""


@pytest.mark.parametrize(
    ("module", "content"),
    [("argparse", CTRL_C), ("numpy", CTRL_C), ("numpy", f"import os, signal, time\n{TURNED}")],
    ids=["of Python", "of others", "of C++"],
)
@pytest.mark.parametrize(
    "arguments",
    [[*MOTRIX, "evaluate"], [*PACKAGE, "evaluate"], ["-m", "rl_zoo.evaluate"]],
    ids=["motrix", "package", "module"],
)
def test_ctrl_c_during_the_imports_ends_with_130_and_one_line(tmp_path, arguments, module, content):
    (tmp_path / f"{module}.py").write_text(content)
    assert run(arguments, path=[tmp_path]) == (errors.INTERRUPTED, "", "interrupted\n")


def test_ctrl_c_while_a_learning_library_is_loaded_is_not_lost_in_it(tmp_path):
    """As JAX, in whose callbacks an exception is printed and forgotten, or aborts."""
    lose = "class Lost:\n    def __del__(self):\n        os.kill(os.getpid(), signal.SIGINT)\n"
    (tmp_path / "torch.py").write_text(f"import os, signal\n{lose}lost = Lost()\ndel lost\n")
    words = ["train", "--trainer", "sb3", "--device", "cpu", "--run-dir", str(tmp_path / "runs")]
    status, _, error = run([*PACKAGE, *words], path=[tmp_path])
    assert (status, error) == (errors.INTERRUPTED, "interrupted\n")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("command", ["train", "evaluate", "compare", "play"])
def test_impossible_numbers_of_threads_are_refused_at_once(command, capsys):
    from rl_zoo.__main__ import main

    assert arguments.MAX_THREADS == vector_env.MAX_THREADS
    for wrong in ("2147483648", "1025", "-1", "x", "1.5"):
        with pytest.raises(SystemExit) as ended:
            main([command, f"--num-threads={wrong}"])
        assert ended.value.code == errors.MISUSED
        error = capsys.readouterr().err
        assert f"--num-threads: {wrong!r} is not a whole number from 0 to 1024" in error


@pytest.mark.parametrize("setting", ["physics_timestep=1e-300", "control_timestep=1e300"])
def test_impossible_time_steps_are_refused_in_one_line(setting, capsys):
    from rl_zoo.__main__ import main

    for env_id in ("Motrix/CartPole-v0", "Motrix/BounceBall-v0"):
        words = ["evaluate", "--policy", "pretrained", "--env", env_id, "--set", f"env.{setting}"]
        assert main(words) == errors.MISUSED
        error = capsys.readouterr().err
        assert error.startswith("error: env.") and error.count("\n") == 1
