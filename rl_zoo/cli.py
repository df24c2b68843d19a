# SPDX-License-Identifier: Apache-2.0
"""Running a command: its streams, Ctrl-C, and errors as one message with an exit status.

The exit status is 0; 1 if something failed; 2 if the arguments are wrong; 3 if `evaluate` found a
goal unmet, or `reproduce` other weights; 128 + the signal's number (130 for Ctrl-C) if the command
was interrupted.

Heavy modules are imported where they are needed, so that `--help` and messages on wrong arguments
come at once.
"""

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from rl_zoo.errors import FAILED, INTERRUPTED, MISUSED, ZooError
from rl_zoo.hints import missing, short

# What the extra "zoo" brings.
ZOO = ("matplotlib", "rich", "tensorboard")


def run(command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Runs a command and returns its exit status; an expected error becomes one line on stderr."""
    # Read when Torch is loaded. By default its waiting threads spin, on the cores of the physics.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _prepare_streams()
    ended = None
    try:
        status = _attempt(command, argv)
    except SystemExit as error:  # argparse has printed the help, or what is wrong
        ended, status = error, FAILED
    if failure := _output_failure():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains as it ends
        if not isinstance(failure, BrokenPipeError):  # the reader, such as `head`, has closed it
            print(f"error: cannot write the output: {failure.strerror}", file=sys.stderr)
        return FAILED
    if ended:
        raise ended
    return status


def _output_failure() -> OSError | None:
    """Returns why what was printed cannot be written, None if it can."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    return None


def _prepare_streams() -> None:
    """A closed stream is replaced by the null device; unprintable characters are escaped."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))
        elif isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _attempt(command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    commands: Sequence[str] = ()
    try:
        return _interruptible(command, argv)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ZOO:
            raise
        message, status = missing(str(error.name), "zoo"), FAILED
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if isinstance(error, OSError) and _output_failure():
            return FAILED
        if not isinstance(error, _expected_errors()):
            raise  # a mistake in the program: its traceback is wanted
        message, status = _message(error), _status(error)
        commands = getattr(error, "commands", ())
        if not message:  # another rank says what is wrong
            return status
    print(
        f"{_speaker()}error: {short(message)}", *map(short, commands), sep="\n  ", file=sys.stderr
    )
    return status


def _speaker() -> str:
    """Returns how a message begins that is not of the first rank."""
    from adapters.ranks import current

    return f"rank {current().rank}: " if current().rank else ""


def _interruptible(
    command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None
) -> int:
    """Runs a command; Ctrl-C raises KeyboardInterrupt, even if a library turns it into another."""
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        signal.default_int_handler(number, frame)

    try:
        with _on_ctrl_c(note):
            return command(argv)
    except Exception as error:  # an ImportError, if a C++ module was being loaded
        if pressed:
            raise KeyboardInterrupt from error
        raise


def ctrl_c_ends() -> contextlib.AbstractContextManager[None]:
    """Lets Ctrl-C end the program at once, for times when there is nothing to save.

    While libraries are imported, a KeyboardInterrupt may be swallowed by a callback, or abort.
    """

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"interrupted\n")
        os._exit(INTERRUPTED)

    return _on_ctrl_c(end)


@contextlib.contextmanager
def _on_ctrl_c(act: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Replaces the handler of SIGINT, unless Ctrl-C is ignored or this is not the main thread."""
    old = signal.getsignal(signal.SIGINT)
    if not callable(old) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, act)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _expected_errors() -> tuple[type[Exception], ...]:
    """The errors whose message was written for the user; looked up only when one is raised."""
    from adapters import FieldError, MissingLibraryError, PolicyError
    from adapters.ranks import RanksError
    from motrix_gym import TaskError
    from motrix_gym.registration import UnknownEnvironmentError
    from motrix_gym.rendering import RenderingError
    from rl_zoo.config import ConfigError
    from rl_zoo.runs import RunError

    asked_wrongly = (FieldError, ConfigError, UnknownEnvironmentError)
    return (
        ZooError,
        *asked_wrongly,
        MissingLibraryError,
        PolicyError,
        TaskError,
        RenderingError,
        RunError,
        RanksError,
        OSError,  # a disk that is full, a folder that is closed
        MemoryError,
    )


def _message(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return f"not enough memory: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


def _status(error: Exception) -> int:
    from adapters import PolicyError
    from motrix_gym import TaskError

    if isinstance(error, ZooError):
        return error.status
    # A ValueError means wrong arguments, except for a damaged file, or a task's mistake.
    misused = isinstance(error, ValueError) and not isinstance(error, PolicyError | TaskError)
    return MISUSED if misused else FAILED
