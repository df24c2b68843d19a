# SPDX-License-Identifier: Apache-2.0
"""What the commands share: exit statuses, errors as one message, environments and policies by name.

Heavy modules are imported where they are needed, so that `--help` and mistakes answer at once.

A command ends with status 0; 1 if something failed; 2 if it was asked for wrongly; 3 if `evaluate`
found a goal unmet; 128 + the signal's number (130 for Ctrl-C) if it was interrupted.
"""

import argparse
import contextlib
import importlib
import io
import math
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from gymnasium.vector import AutoresetMode

    from adapters import Policy
    from motrix_gym import MotrixVectorEnv
    from rl_zoo.runs import Run

FAILED, MISUSED, UNMET, INTERRUPTED = 1, 2, 3, 130
MAX_THREADS = 1024  # as motrix_gym allows
MAX_COUNT = 10**6  # of environments and episodes; more is a slip
MAX_SEED = 2**32 - 1  # of a training, as adapters.seeds allows
DEFAULT_ENV = "Motrix/CartPole-v0"
PRETRAINED = Path(__file__).with_name("pretrained")
ZOO = ("matplotlib", "safetensors", "tensorboard", "yaml")  # what the extra "zoo" brings


class CommandError(Exception):
    """A command cannot do what was asked; the message is all that the user sees.

    Attributes:
        status: The exit status.
        commands: What to type instead, each shown in a line of its own.
    """

    def __init__(self, message: str, status: int = FAILED, commands: Sequence[str] = ()):
        super().__init__(message)
        self.status = status
        self.commands = commands


def run(command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Runs a command and returns its exit status; an expected error becomes one line on stderr."""
    # Read when Torch loads: waiting threads that spin would take the physics' cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _prepare_streams()
    ended = None
    try:
        status = _attempt(command, argv)
    except SystemExit as error:  # argparse has printed the help, or what is wrong
        ended, status = error, FAILED
    if failure := _output_failure():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains as it ends
        if not isinstance(failure, BrokenPipeError):  # who reads, such as `head`, has enough
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
    print(f"error: {_short(message)}", *map(_short, commands), sep="\n  ", file=sys.stderr)
    return status


def _interruptible(
    command: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None
) -> int:
    """Runs a command; Ctrl-C raises KeyboardInterrupt, whatever a library makes of that."""
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
    """Lets Ctrl-C end the program at once, while there is nothing to lose.

    Where libraries are imported, KeyboardInterrupt may be forgotten in a callback, or abort.
    """

    def end(number: int, frame: FrameType | None) -> None:
        os.write(2, b"interrupted\n")
        os._exit(INTERRUPTED)

    return _on_ctrl_c(end)


@contextlib.contextmanager
def _on_ctrl_c(act: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Puts a handler of SIGINT in the place of Python's; none where Ctrl-C is ignored."""
    old = signal.getsignal(signal.SIGINT)
    if not callable(old) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, act)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, old)


def _short(message: str) -> str:
    """Returns a message as one line, of which a terminal shows all, in the space of a few."""
    from motrix_gym.names import one_line

    return one_line(message, 1200)


def _expected_errors() -> tuple[type[Exception], ...]:
    """The errors whose message was written for the user; looked up only when one is raised."""
    from adapters import FieldError, MissingLibraryError, PolicyError
    from motrix_gym.registration import UnknownEnvironmentError
    from motrix_gym.rendering import RenderingError
    from rl_zoo.config import ConfigError
    from rl_zoo.runs import RunError

    asked_wrongly = (FieldError, ConfigError, UnknownEnvironmentError)
    return (
        CommandError,
        *asked_wrongly,
        MissingLibraryError,
        PolicyError,
        RenderingError,
        RunError,
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

    if isinstance(error, CommandError):
        return error.status
    # A ValueError means that what was asked for is wrong, apart from a policy's, which is damage.
    return (
        MISUSED if isinstance(error, ValueError) and not isinstance(error, PolicyError) else FAILED
    )


def missing(package: str, extra: str) -> str:
    """A message for a package that is not installed and the extra that brings it."""
    return f'{package!r} is not installed: pip install "motrix-gym[{extra}]"'


def command_line(name: str, *words: str | Path) -> str:
    """What to type to run a command with this very Python."""
    on_path = shutil.which("python")
    if on_path and os.path.dirname(on_path) == os.path.dirname(sys.executable):
        python = "python"
    else:
        python = os.path.relpath(sys.executable)
        python = sys.executable if python.startswith("..") else python
    return shlex.join([python, "-m", f"rl_zoo.{name}", *map(str, words)])


class _Parser(argparse.ArgumentParser):
    """Tells which flag a wrong one may have been meant to be."""

    def print_help(self, file: Any = None) -> None:
        """Prints the help; argparse's own would hide that it cannot be written."""
        print(self.format_help(), end="", file=file)

    def error(self, message: str) -> NoReturn:
        """Ends the program with a message of one line."""
        super().error(_short(message))

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Returns the arguments; ends the program if one is unknown."""
        known, unknown = self.parse_known_args(args, namespace)
        if unknown:
            from motrix_gym.names import did_you_mean

            flags = [flag for action in self._actions for flag in action.option_strings]
            hint = did_you_mean(unknown[0].partition("=")[0], flags)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")
        return known


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser in the commands' style."""
    return _Parser(
        prog=f"motrix {name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def whole(low: int, high: int = MAX_COUNT) -> Callable[[str], int]:
    """An argparse type: an integer from `low` to `high`."""

    def convert(text: str) -> int:
        from motrix_gym.names import shown

        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            message = f"{shown(text)} is not a whole number from {low} to {high}"
            raise argparse.ArgumentTypeError(message)
        return value

    return convert


def positive(unit: str) -> Callable[[str], float]:
    """An argparse type: a finite number above 0 of a unit, such as "seconds"."""

    def convert(text: str) -> float:
        from motrix_gym.names import shown

        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"{shown(text)} is not a number of {unit} above 0")
        return value

    return convert


def add_num_threads(p: argparse.ArgumentParser) -> None:
    """Adds `--num-threads`."""
    p.add_argument(
        "--num-threads",
        type=whole(0, MAX_THREADS),
        default=0,
        metavar="N",
        help="for physics; 0: all cores",
    )


def add_policy_arguments(p: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Adds what `find_policy` reads, and `--set`, `--num-envs`, `--num-threads`.

    Returns:
        The group of arguments of which one says whose actions to take.
    """
    add = p.add_argument
    add("--env", metavar="ID", help=f"environment, or module:ID (default {DEFAULT_ENV})")
    source = p.add_mutually_exclusive_group()
    source.add_argument(
        "--run", type=Path, help="run folder (default: the environment's newest, else pretrained)"
    )
    source.add_argument(
        "--policy",
        type=Path,
        help='"pretrained", or a folder with policy.safetensors and policy.json; with '
        "--allow-pickle and --env, a "
        ".pt or .pickle of skrl or a .zip of Stable-Baselines3 too",
    )
    add(
        "--allow-pickle",
        action="store_true",
        help="read a policy from a kind of file that can hide code",
    )
    add("--run-dir", type=Path, default=Path("runs"), help="folder of all runs (default runs)")
    add("--num-envs", type=whole(1), metavar="N", help="environments side by side")
    add_num_threads(p)
    add(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="env.NAME=VALUE",
        help="settings of the task, such as env.observation_noise=0",
    )
    return source


def find_env(name: str) -> str:
    """Returns the id of a registered environment.

    Args:
        name: An id, or "module:id" to import a module that registers it.

    Raises:
        CommandError: there is no such module, or without one, no such environment.
        UnknownEnvironmentError: (of motrix_gym) the module registers no such environment.
    """
    from motrix_gym import registration
    from motrix_gym.names import shown

    module, colon, env_id = name.rpartition(":")
    if colon:
        if not all(part.isprintable() and part for part in module.split(".")):
            message = f"--env {shown(name)}: {shown(module)} is not the name of a module"
            raise CommandError(message, MISUSED)
        if os.getcwd() not in sys.path:  # as with `python -m`
            sys.path.append(os.getcwd())
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name and not f"{module}.".startswith(f"{error.name}."):
                raise  # a mistake inside the user's module
            where = f"in {os.getcwd()} or where Python looks"
            message = f"--env {shown(name)}: there is no module {shown(module)} {where}"
            raise CommandError(message, MISUSED) from error
    try:
        return registration.entry(env_id).id
    except registration.UnknownEnvironmentError as error:
        if colon:
            raise
        hint = "a module of your own is named before it: --env module:ID"
        raise CommandError(f"{error}; {hint}", MISUSED) from error


def env_of(env_id: str, source: object) -> str:
    """Returns the id that a file says; unlike `find_env`, imports nothing that a file names.

    Raises:
        CommandError: there is no such environment.
    """
    from motrix_gym import list_envs

    if env_id not in list_envs():
        raise CommandError(
            f"{source} is of {env_id}, which is not registered: if it is your own, import it with "
            f"--env MODULE:{env_id}"
        )
    return env_id


def make_env(
    env_id: str,
    settings: dict[str, Any],
    num_envs: int,
    num_threads: int = 0,
    autoreset_mode: "AutoresetMode | str" = "SAME_STEP",
) -> "MotrixVectorEnv":
    """Makes a vector environment that is unwrapped.

    Args:
        env_id: A registered id.
        settings: Task settings by dotted name, as `settings.split` returns them.
        num_envs: Number of environments.
        num_threads: Threads for the physics; 0: all cores.
        autoreset_mode: Gymnasium's, when a row whose episode ended is reset.

    Raises:
        CommandError: a setting is wrong, or memory does not suffice.
    """
    import gymnasium

    from motrix_gym import registration
    from rl_zoo.settings import overrides

    changes = overrides(registration.entry(env_id).config, settings)
    try:
        env = gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            num_threads=num_threads,
            autoreset_mode=autoreset_mode,
            **changes,
        )
    except MemoryError as error:
        raise CommandError(f"not enough memory for {num_envs} environments of {env_id}") from error
    return env  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Found:
    """A policy and where it was found.

    Attributes:
        env_id: The environment that it is for.
        settings: Task settings that it was trained with, by dotted name.
        policy: The policy.
        run: Its run, if it is of one.
        label: A phrase for the user.
    """

    env_id: str
    settings: dict[str, Any]
    policy: "Policy"
    run: "Run | None"
    label: str


def find_policy(args: argparse.Namespace) -> Found:
    """Returns the policy that the arguments of `add_policy_arguments` ask for.

    Raises:
        RunError, PolicyError: it is not there, damaged, or of another environment.
        CommandError: it is another library's file, which needs --allow-pickle and --env.
    """
    from adapters import Policy
    from rl_zoo.runs import MANIFEST, Run, RunError, find_newest

    wanted = find_env(args.env) if args.env else None
    if str(args.policy) == "pretrained":
        env_id = wanted or DEFAULT_ENV
        policy = pretrained(env_id)
        if policy is None:
            raise CommandError(f"no policy of {env_id} is shipped", MISUSED)
        return Found(env_id, {}, policy, None, "the pretrained policy")
    if args.policy and os.path.isfile(args.policy):
        return _foreign(args.policy, wanted, args.allow_pickle)
    if args.policy:
        if os.path.isfile(args.policy / MANIFEST):
            raise CommandError(f"{args.policy} is a run: --run {args.policy}", MISUSED)
        policy = Policy.load(args.policy)
        env_id = wanted or policy.metadata.get("env_id")
        if not isinstance(env_id, str):
            raise CommandError(f"{args.policy} does not say its environment: give --env", MISUSED)
        return Found(env_of(env_id, args.policy), {}, policy, None, str(args.policy))

    env_id = wanted or DEFAULT_ENV
    folder = args.run
    if folder is None:
        try:
            folder = find_newest(args.run_dir, env_id)
        except RunError as error:
            shipped = pretrained(env_id)
            if shipped is None:
                raise
            reason = str(error).removesuffix(": train one first")
            return Found(env_id, {}, shipped, None, f"the pretrained policy, as there is {reason}")
    run = Run.open(folder, env_id=wanted)
    manifest = run.manifest
    policy = run.policy("best")
    label = f"the best policy of {folder} ({manifest['best']['steps']:,} steps)"
    return Found(env_of(manifest["env_id"], folder), manifest["env_config"], policy, run, label)


def _foreign(path: Path, env_id: str | None, allowed: bool) -> Found:
    """Returns the policy of another library's file; reads nothing of it unless that is allowed."""
    from adapters.foreign import KINDS, load_foreign
    from rl_zoo import config

    if path.suffix not in KINDS:
        kinds = ", ".join(f"{suffix} ({what})" for suffix, (_, what) in KINDS.items())
        raise CommandError(
            f"--policy {path} is a file: name the folder of policy.safetensors and policy.json, or "
            f"a file of another library: {kinds}",
            MISUSED,
        )
    trainer, what = KINDS[path.suffix]
    if not allowed:
        raise CommandError(
            f"{path} is {what}: such files can hide code that runs when they are read. If you "
            "trust where it comes from, add --allow-pickle",
            MISUSED,
        )
    if env_id is None:
        raise CommandError(f"{path} does not say its environment: give --env", MISUSED)
    activation = config.load(env_id, trainer=trainer).activation
    env = make_env(env_id, {}, 1)
    try:
        policy = load_foreign(path, env, activation)
    finally:
        env.close()
    normaliser = "with" if policy.observation_clip < math.inf else "without"
    source = "" if trainer == "sb3" else f" as in the settings of {env_id}, which it does not say"
    label = f"{path}, {what} {normaliser} a normaliser; activation {policy.activation}{source}"
    return Found(env_id, {}, policy, None, label)


def pretrained(env_id: str) -> "Policy | None":
    """Returns the policy that the package brings for an environment, if it does."""
    from adapters import Policy
    from rl_zoo.config import env_name

    folder = PRETRAINED / env_name(env_id)
    if not (folder / "policy.json").is_file():
        return None
    policy = Policy.load(folder)
    return policy if policy.metadata.get("env_id") == env_id else None


def check_fits(policy: "Policy", env: "MotrixVectorEnv", env_id: str) -> None:
    """Raises CommandError if a policy's observation or action has not the environment's size."""
    sizes = (policy.observation_size, policy.action_size)
    wanted = (env.single_observation_space.shape[0], env.single_action_space.shape[0])  # pyright: ignore
    if sizes != wanted:
        raise CommandError(
            f"the policy turns {sizes[0]} observations into {sizes[1]} actions, {env_id} has "
            f"{wanted[0]} and {wanted[1]}: it is of {policy.metadata.get('env_id', 'another task')}"
        )


def number(value: float) -> str:
    """A figure for a table: four digits, without exponents where they can be done without."""
    return f"{value:,.1f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"


def table(rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Lines of aligned columns; the first `left` columns to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = zip(row, widths, strict=True)
        aligned = [c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(cells)]
        lines.append("  ".join(aligned).rstrip())
    return "\n".join(lines)
