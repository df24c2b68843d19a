# SPDX-License-Identifier: Apache-2.0
"""Mutated settings and run files are each accepted, or refused with one line that says why."""

import hashlib
import json
import random
import shutil
import struct
from pathlib import Path

import pytest

import motrix_gym
from adapters import ALGORITHMS
from motrix_gym import registration
from rl_zoo import cli, errors
from rl_zoo import config as zoo
from rl_zoo.__main__ import main as motrix
from rl_zoo.arguments import split_settings
from rl_zoo.runs import Run, find_newest
from rl_zoo.task_settings import resolved

# A warning would be a line of its own.
pytestmark = pytest.mark.filterwarnings("error")

ENV = "Motrix/CartPole-v0"
CASES = 300
NUMBERS = ["0", "-1", "1", "2.5", "1e6", "1e12", "1e19", "1e400", "-1e308", "1e-320", "-0.0"]
NUMBERS += [".nan", ".inf", "-.inf", "0x1f", "0o7", "1:30", "1_000", "0x" + "f" * 4000, "9" * 5000]
TEXTS = ["''", "x", "é", "λ" * 300, "'\\0'", '"\\0\\e[31m\\u202e"', '"\\ud800"', "yes", "~", "null"]
TEXTS += ["2001-12-14", "2001-13-14", "/dev/full", "auto", "x" * 5000, "a: b", "a: b: c"]
TAGS = ['!!int ""', '!!float ""', '!!float "."', "!!bool x", "!!timestamp x", '!!binary "é"']
TAGS += ["!!null x", "!!str [x]", "!!seq x", "!!map x", "!!map [x]", "!!set {x, y}", "!!set x"]
TAGS += ["!!omap [a: 1]", "!!pairs x", "!!python/name:os.system", "!mine x", "!!int [1]", "!<x>"]
NESTED = ["[]", "{}", "[1, [2, [3]]]", "{a: {b: 1}}", "[" * 500, "{a: " * 500, "[[64]]"]
NESTED += ["&a [*a]", "&a {a: *a}", "*nobody", "{<<: {a: 1}}", "{<<: 1}", "{a: 1, a: 2}", "? [a]"]
NESTED += ["{1: 2}", "{[1]: 2}", "&a [&b [*a], *b]", "[1, 2", "'", '"', "|", ">2", "%", "- x"]
VALUES = NUMBERS + TEXTS + TAGS + NESTED
LETTERS = "\0\t\n\r\x1b\x85 !\"#%&'*,-.:<>?@[]`{|}~0e\u2028\ufeff\U0001f600"


@pytest.fixture
def judge(capsys):
    """Run a command in-process; return whether it accepted what it was given."""

    def judge(command, case):
        capsys.readouterr()
        try:
            status = command()
        except BaseException as error:
            raise AssertionError(f"{type(error).__name__} of {case}") from error
        error = capsys.readouterr().err
        if status not in (errors.FAILED, errors.MISUSED):
            assert status in (0, errors.UNMET, errors.INTERRUPTED), case
            return True
        line = error.removesuffix("\n")
        assert line.startswith("error: ") and line.isprintable() and len(line) < 1300, (line, case)
        return False

    return judge


def called(function):
    """A command that calls a function."""

    def command(argv):
        function()
        return 0

    return lambda: cli.run(command, None)


def called_with(words):
    """A command as it is typed."""
    return lambda: motrix(words)


def mutated(rng, data):
    """Bytes of which some are flipped, cut off, left out, doubled or put in."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5])):
        i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        match rng.randrange(5):
            case 0 if data:
                data[min(i, len(data) - 1)] ^= 1 << rng.randrange(8)
            case 1:
                del data[i:]
            case 2:
                del data[i : min(j, i + 20)]
            case 3:
                data[i:i] = data[i:j]
            case _:
                data[i:i] = rng.choice(LETTERS).encode()
    return bytes(data)


# Settings.


def odd_settings(rng, text):
    """A settings file of which a value is another, a line is doubled or moved, or bytes differ."""
    lines = text.splitlines()
    i = rng.randrange(len(lines))
    match rng.randrange(4):
        case 0 | 1:
            name, colon, _ = lines[i].partition(":")
            lines[i] = f"{name}{colon} {rng.choice(VALUES)}"
        case 2:
            lines.insert(rng.randrange(len(lines)), rng.choice([lines[i], rng.choice(VALUES)]))
        case _:
            return mutated(rng, text.encode())
    return "\n".join(lines).encode()


def test_odd_settings_files_are_accepted_or_refused_in_one_line(here, judge):
    shipped = [path.read_text() for path in sorted(Path(zoo.find(ENV)).parent.glob("*.yaml"))]
    accepted = 0
    for i in range(CASES):
        rng = random.Random(i)
        algo = rng.choice(list(ALGORITHMS))
        texts = [*shipped, zoo.dump(ALGORITHMS[algo](), algo)]
        (here / "odd.yaml").write_bytes(odd_settings(rng, rng.choice(texts)))

        def load(algo=algo):
            config = zoo.load(ENV, algo, hyperparams="odd.yaml")
            (here / "again.yaml").write_bytes(zoo.dump(config, algo).encode())
            assert zoo.load(ENV, algo, hyperparams="again.yaml") == config

        accepted += judge(called(load), (i, (here / "odd.yaml").read_bytes()[:2000]))
    assert CASES / 10 < accepted < CASES  # some of both


def odd_set(rng, algo, task):
    """A `name=value` of `--set`."""
    names = [*ALGORITHMS[algo].names(), *(f"env.{name}" for name in vars(task))]
    names += [f"env.reward_weights.{name}" for name in task.reward_weights]
    # Every fourth value is one that most numbers may have, so that some are accepted.
    value = rng.choice(VALUES) if rng.randrange(4) else "1"
    text = f"{rng.choice(names)}={value}"
    if rng.randrange(3):
        return text
    return mutated(rng, text.encode()).decode(errors="surrogateescape")  # as in sys.argv


def test_odd_words_of_set_are_accepted_or_refused_in_one_line(judge):
    accepted = 0
    for i in range(CASES):
        rng = random.Random(i)
        algo, env_id = rng.choice(list(ALGORITHMS)), rng.choice(motrix_gym.list_envs())
        task = registration.entry(env_id).config
        text = odd_set(rng, algo, task)

        def plan(algo=algo, env_id=env_id, text=text):
            values, settings = split_settings([text], algo)
            zoo.load(env_id, algo, task_settings=settings, **values)
            resolved(env_id, settings)

        accepted += judge(called(plan), (i, text[:2000]))
    assert CASES / 20 < accepted < CASES


@pytest.mark.parametrize("value", TAGS[:4] + ["0x" + "f" * 4000, "\x1b[31m\n[", "[" * 500])
def test_values_that_yaml_stumbles_over(here, judge, value):
    (here / "own.yaml").write_text(f"ppo:\n  seed: {value}\n")
    for words in (
        ["train", "--set", f"seed={value}"],
        ["train", "--config", "own.yaml"],
        ["evaluate", "--set", f"env.max_angle={value}"],
    ):
        assert not judge(called_with(words), words)


# A run's files.

JSON_VALUES = [None, True, False, 0, -1, 1, 2.5, 2**63, 10**400, 1e300, float("nan"), float("inf")]
JSON_VALUES += ["", "x", "\0\x1b[31m", "\ud800", "../../x", "x" * 5000, [], {}, [[1]], {"a": {}}]
JSON_VALUES += ["sb3", "ppo", "cuda", "sac", "Motrix/Go1-v0", ENV, "1e4", "latest", "64"]
DTYPES = ["F64", "F16", "BF16", "C64", "I8", "I64", "U32", "BOOL", "F8_E4M3", "F4", "X", None]


def odd_json(rng, data):
    """JSON of which a value anywhere is another, missing, or given twice, or bytes differ."""
    if not rng.randrange(4):
        return mutated(rng, data)
    value = json.loads(data)
    places = list(walk(value))
    holder, key = rng.choice(places)
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(["x", "", "\x1b", "env.x", key + "x"])] = rng.choice(JSON_VALUES)
        case 2:
            other, name = rng.choice(places)
            holder[key] = json.loads(json.dumps(other[name]))
        case _:
            holder[key] = rng.choice(JSON_VALUES)
    text = json.dumps(value, indent=rng.choice([None, 2])).replace("Infinity", "1e999")
    if not rng.randrange(10):
        text = text.replace(":", ': "given", "twice":', 1)
    return text.encode()


def walk(value):
    """All (holder, key or index) in a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield value, key
        if isinstance(part, dict | list):
            yield from walk(part)


def odd_tensors(rng, data):
    """A safetensors file whose header, numbers or bytes are odd."""
    (size,) = struct.unpack("<Q", data[:8])
    header, body = data[8 : 8 + size], data[8 + size :]
    match rng.randrange(5):
        case 0:
            return mutated(rng, data)
        case 1:
            header = odd_json(rng, header)
        case 2 | 3:
            arrays = json.loads(header)
            array = arrays[rng.choice(list(arrays))]
            if rng.randrange(2):
                array["dtype"] = rng.choice(DTYPES)
            else:
                array["shape"] = rng.choice([[], [1, *array["shape"]], array["shape"][:-1], [0]])
            header = json.dumps(arrays).encode()
        case _:
            numbers = [float("nan"), float("inf"), 3e38, -3e38, 1e-45]
            odd = struct.pack("<f", rng.choice(numbers)) * rng.choice([1, 1, len(body) // 4])
            i = rng.randrange(0, len(body) - len(odd) + 1, 4)
            body = body[:i] + odd + body[i + len(odd) :]
    return struct.pack("<Q", len(header)) + header + body


MUTATIONS = {
    "manifest.json": odd_json,
    "config.yaml": lambda rng, data: odd_settings(rng, data.decode()),
    "policy.json": odd_json,
    "policy.safetensors": odd_tensors,
    "train_state.safetensors": odd_tensors,
}


def sign(run, name):
    """Make the digests of a run's last checkpoint right, as far as they can be."""
    manifest = json.loads((run / "manifest.json").read_bytes())
    folder = run / "checkpoints" / manifest["latest"]["folder"]
    if name == "policy.safetensors":
        about = json.loads((folder / "policy.json").read_bytes())
        about["sha256"] = digest(folder / name)
        (folder / "policy.json").write_text(json.dumps(about))
    for entry in (manifest["latest"], manifest["best"]):
        entry["sha256"] = {file: digest(folder / file) for file in entry["sha256"]}
    (run / "manifest.json").write_text(json.dumps(manifest))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_odd_run_files_are_accepted_or_refused_in_one_line(here, fake_trainer, judge):
    settings = ["rollouts=4", "mini_batches=1", "max_env_steps=16", "env.max_episode_steps=10"]
    flags = ["--num-envs", "4", "--trainer", "sb3", "--eval-episodes", "0", "--set", *settings]
    assert motrix(["train", *flags]) == 0
    whole = find_newest("runs", ENV)
    text = (whole / "config.yaml").read_text()
    (whole / "config.yaml").write_text(text.replace("max_env_steps: 16", "max_env_steps: 64"))
    updates = []

    def stop_after_one(trainer):
        updates.append(trainer)
        if len(updates) > 1:
            raise KeyboardInterrupt

    fake_trainer.on_update = stop_after_one
    run, checkpoint = Path("odd"), Path("odd", "checkpoints", "16")
    resume = ["train", "--resume", "odd", "--eval-episodes", "0"]
    evaluate = ["evaluate", "--episodes", "2", "--num-threads", "1"]
    by_run, by_policy = [*evaluate, "--run", "odd"], [*evaluate, "--policy", str(checkpoint)]
    accepted = 0
    for i in range(CASES):
        rng = random.Random(i)
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(whole, run)
        name = rng.choice(list(MUTATIONS))
        path = next(run.rglob(name))
        content = MUTATIONS[name](rng, path.read_bytes())
        path.write_bytes(content)
        if path.parent == checkpoint:
            sign(run, name)
        if name == "config.yaml":
            command = called(lambda: Run.open("odd").config())
        else:
            words = rng.choice([by_run, resume] if name[0] == "m" else [by_run, by_policy])
            words = resume if name[0] == "t" else words
            command = called_with(words)
        updates.clear()
        accepted += judge(command, (i, name, content[:2000]))
    assert CASES / 20 < accepted < CASES
