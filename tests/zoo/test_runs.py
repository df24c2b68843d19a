# SPDX-License-Identifier: Apache-2.0
"""Run folders: checkpoints, locks, clocks, and what a full disk or a kill leaves."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import Policy, PPOConfig
from rl_zoo import provenance
from rl_zoo.runs import Run, RunError, find_newest

ENV = "Motrix/CartPole-v0"
OPEN = io.open
NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def make_policy(number):
    """A policy whose action says which one it is."""
    return Policy(
        hidden=(),
        output=(np.zeros((1, 1)), np.array([number])),
        log_std=np.zeros(1),
        activation="elu",
        observation_mean=np.zeros(1),
        observation_std=np.ones(1),
        observation_clip=5.0,
        action_low=np.array([-1e9]),
        action_high=np.array([1e9]),
    )


def make_state(number):
    return {
        "weights": np.asfortranarray(np.arange(6.0).reshape(2, 3) + number),
        "key": np.array([2**64 - 1, number], np.uint64),
        "mask": np.array([True, False]),
        "rate": np.float64(1e-3),
        "steps": np.array(number, np.int64),
        "half": np.array([[0.5]], np.float16),
        "empty": np.zeros((0, 3), np.float32),
        "strided": np.arange(10, dtype=np.int32)[::2],
        "big-endian": np.array([1.5], ">f8"),
    }


def create(root, keep=0, **kwargs):
    config = PPOConfig(seed=7, keep_checkpoints=keep)
    return Run.create(root, ENV, "skrl-jax", config, **kwargs)


def save(run, number, score=None):
    run.save_checkpoint(number, make_policy(number), make_state(number), score)


def number_of(policy):
    return int(policy(np.zeros(1))[0])


def checkpoints(run):
    return sorted(os.listdir(run.folder / "checkpoints"))


def check_whole(run):
    """The run's checkpoints load and are what the manifest says; returns (best, latest) steps."""
    manifest = run.manifest()
    best, latest = manifest["best"]["steps"], manifest["latest"]["steps"]
    assert number_of(run.policy()) == best
    assert number_of(run.policy("latest")) == int(run.state()["steps"]) == latest
    assert int(run.state("best")["steps"]) == best
    assert manifest["steps"] == latest
    entries = run.history()
    steps = [entry["steps"] for entry in entries]
    assert steps == sorted(set(steps)) and {best, latest} <= set(steps)
    for entry in entries:
        assert number_of(run.policy(entry["folder"])) == entry["steps"]
        assert int(run.state(entry["folder"])["steps"]) == entry["steps"]
    return best, latest


def test_a_run_is_found_opened_and_read_as_it_was_written(tmp_path):
    run = create(tmp_path, env_config={"physics_timestep": 0.005})
    assert run.folder.parent == tmp_path / "CartPole-v0"
    assert run.folder.name.endswith("_ppo_skrl-jax")
    save(run, 100, score=1.5)
    run.finish("complete")

    read = Run.open(find_newest(tmp_path, ENV), env_id=ENV)
    manifest = read.manifest()
    assert read.folder == run.folder
    assert read.config() == PPOConfig(seed=7)
    assert check_whole(read) == (100, 100)
    assert {k: manifest[k] for k in ("env_id", "algo", "trainer", "seed", "status", "steps")} == {
        "env_id": ENV,
        "algo": "ppo",
        "trainer": "skrl-jax",
        "seed": 7,
        "status": "complete",
        "steps": 100,
    }
    assert manifest["env_config"] == {"physics_timestep": 0.005}
    assert manifest["best"]["score"] == 1.5
    (session,) = manifest["sessions"]
    assert session == provenance.session() and session["cores"] >= 1 and session["cpu"]
    assert {"python", "mujoco", "numpy"} <= set(session["versions"])


def test_the_training_state_comes_back_bit_by_bit(tmp_path):
    run = create(tmp_path)
    save(run, 3)
    state = run.state()
    assert list(sorted(state)) == sorted(make_state(3))
    for name, array in make_state(3).items():
        assert state[name].shape == array.shape, name
        assert state[name].dtype == array.dtype.newbyteorder("="), name
        assert np.array_equal(state[name], array), name


def test_only_the_latest_checkpoint_keeps_a_replay_buffer(tmp_path):
    run = create(tmp_path, keep=1)
    for number, score in ((1, 9.0), (2, 1.0), (3, 2.0), (4, 3.0)):
        state = make_state(number) | {"replay/rewards": np.full(3, number)}
        run.save_checkpoint(number, make_policy(number), state, score)
        read = Run.open(run.folder)
        assert read.state()["replay/rewards"].tolist() == [number] * 3
        check_whole(read)
        found = sorted(path.parent.name for path in run.folder.glob("*/*/replay.safetensors"))
        assert found == [str(number)]
    assert "replay/rewards" not in run.state("best")
    assert checkpoints(run) == ["1", "3", "4"]
    run.promote("latest")
    assert run.state("best")["replay/rewards"].tolist() == [4] * 3
    path = run.folder / "checkpoints" / "4" / "replay.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(RunError, match="replay.safetensors is damaged.*last good.*/3 .older"):
        run.state()
    assert number_of(run.policy()) == 4  # which needs no buffer


def test_an_array_that_no_file_can_hold_is_refused_by_name(tmp_path):
    run = create(tmp_path)
    for array in (np.array("text"), np.array([None]), np.zeros(2, complex)):
        with pytest.raises(TypeError, match="array 'odd' has type"):
            run.save_checkpoint(1, make_policy(1), {"odd": array})
    assert checkpoints(run) == []


@settings(max_examples=25)
@given(
    st.lists(
        st.none() | st.integers(-2, 2).map(float) | st.sampled_from([np.nan, np.inf]),
        min_size=1,
        max_size=7,
    )
)
def test_best_has_the_highest_score_and_the_rest_is_removed(tmp_path_factory, scores):
    run = create(tmp_path_factory.mktemp("runs"))
    for number, score in enumerate(scores):
        save(run, number, score)
    known = [-np.inf if s is None or not np.isfinite(s) else s for s in scores]
    best = max(range(len(scores)), key=lambda i: (known[i], i))
    latest = len(scores) - 1
    assert check_whole(run) == (best, latest)
    earlier = max(range(latest), key=lambda i: (known[i], i)) if latest else None
    assert run.best_earlier() == (None if earlier is None else str(earlier))
    assert checkpoints(run) == sorted({str(i) for i in (best, latest, earlier) if i is not None})


def test_a_second_checkpoint_of_the_same_step_replaces_the_first(tmp_path):
    run = create(tmp_path)
    for score in (1.0, 2.0, 0.5):
        run.save_checkpoint(5, make_policy(score * 10), make_state(5), score)
    assert number_of(run.policy()) == 20
    assert number_of(run.policy("latest")) == 5
    assert len(checkpoints(run)) == 2


@pytest.mark.parametrize(
    ("keep", "kept"), [(0, [2, 6]), (1, [2, 5, 6]), (2, [2, 4, 5, 6]), (-1, [1, 2, 3, 4, 5, 6])]
)
def test_as_many_older_checkpoints_are_kept_as_the_setting_says(tmp_path, keep, kept):
    run = create(tmp_path, keep)
    for number in (1, 2, 3):
        save(run, number, score=9.0 if number == 2 else 1.0)
    run.finish("interrupted")
    run = Run.open(run.folder, resume=True)
    for number in (4, 5, 6):
        save(run, number, score=1.0)
    assert check_whole(run) == (2, 6)
    assert [entry["steps"] for entry in run.history()] == kept
    assert checkpoints(run) == [str(number) for number in kept]

    run.promote("latest")
    assert check_whole(run) == (6, 6)
    assert [entry["steps"] for entry in run.history()] == kept
    run.promote("2")
    assert check_whole(run) == (2, 6)
    with pytest.raises(ValueError, match="which='7' is not one of latest, best, "):
        run.policy("7")


def test_a_run_of_old_without_history_is_read_and_gone_on_with(tmp_path):
    folder = prepare(tmp_path)
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in ("history", "train_seconds", "sessions"):
        del manifest[name]
    manifest["versions"] = {"numpy": "1.0"}
    for which in ("best", "latest"):
        del manifest[which]["seconds"]
    path.write_text(json.dumps(manifest))
    run = Run.open(folder)
    assert check_whole(run) == (1, 2)
    assert [entry["steps"] for entry in run.history()] == [1, 2]
    run = Run.open(folder, resume=True)
    run.begin()
    save(run, 3, score=9.0)
    assert check_whole(run) == (3, 3)
    unknown = dict.fromkeys(("code", "cores", "cpu"), "unknown")
    old = {"versions": {"numpy": "1.0"}} | unknown
    assert run.manifest()["sessions"] == [old, provenance.session()]


def test_the_code_of_a_run_is_told_by_the_sources_that_decide_a_result(tmp_path, monkeypatch):
    packages = [tmp_path / name for name in ("motrix_gym", "adapters")]
    for folder in packages:
        (folder / "tasks").mkdir(parents=True)
        (folder / "__init__.py").write_text("1")
        (folder / "tasks" / "ball.xml").write_text("<mujoco/>")
        monkeypatch.setattr(
            getattr(provenance, folder.name), "__file__", str(folder / "__init__.py")
        )
    digests = [provenance.code.__wrapped__()]

    def changed(do):
        do()
        digests.append(provenance.code.__wrapped__())
        return digests[-1] != digests[-2]

    ball = packages[0] / "tasks" / "ball.xml"
    assert not changed(lambda: (packages[0] / "notes.txt").write_text("read me"))
    assert changed(lambda: ball.write_text("<mujoco></mujoco>"))
    assert changed(lambda: ball.rename(ball.with_name("other.xml")))
    assert changed(lambda: (packages[1] / "ppo.py").write_text(""))
    assert all(len(digest) == 64 for digest in digests)


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("code", "b" * 64),
        ("versions", {"numpy": "1.0"}),
        ("machine", {"cpu": "Z80", "cores": 1}),
        ("machine", provenance.machine() | {"cores": 1000}),
    ],
)
def test_a_resumed_run_tells_all_that_it_was_trained_with(tmp_path, monkeypatch, what, other):
    folder, first = prepare(tmp_path), provenance.session()

    def resume():
        run = Run.open(folder, resume=True)
        run.begin()
        run.finish("complete")
        return run.manifest()["sessions"]

    assert resume() == [first]
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(provenance, what, lambda: other)
        second = provenance.session()
        assert second != first
        assert resume() == resume() == [first, second]
    assert resume() == [first, second, first]


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path):
    folders = {create(tmp_path).folder for _ in range(5)}
    assert len(folders) == 5


def test_the_newest_run_with_a_checkpoint_is_found(tmp_path):
    with pytest.raises(RunError, match=f"no run of {ENV} with a checkpoint in .*train one first"):
        find_newest(tmp_path, ENV)
    runs = [create(tmp_path) for _ in range(4)]
    for run in runs[:3]:
        save(run, 1)
    os.utime(runs[0].folder / "manifest.json", (2**31, 2**31))
    (runs[2].folder / "manifest.json").write_text("{")
    (tmp_path / "CartPole-v0" / "half-made").mkdir()
    other = Run.create(tmp_path, "Other/CartPole-v0", "sb3", PPOConfig(seed=0))
    save(other, 1)
    assert find_newest(tmp_path, ENV) == runs[1].folder
    assert find_newest(tmp_path, "Other/CartPole-v0") == other.folder


def test_foreign_and_damaged_manifests_are_refused(tmp_path):
    run = create(tmp_path)
    with pytest.raises(RunError, match=f"is a run of {ENV}, not of Motrix/Go1-v0"):
        Run.open(run.folder, env_id="Motrix/Go1-v0")
    with pytest.raises(RunError, match="has no checkpoint yet .status: running"):
        run.policy()
    save(run, 1)

    good = run.manifest()
    path = run.folder / "manifest.json"
    outside = good["best"] | {"folder": "../../elsewhere"}
    for change, message in (
        ({"schema_version": 2}, "schema_version 2, this program reads 1"),
        ({"best": outside}, "lacks entries of a run, or has wrong ones"),
        ({"best": {}}, "lacks entries"),
        ({"latest": 3}, "lacks entries"),
        ({"steps": "1"}, "lacks entries"),
        ({"trainer": None}, "lacks entries"),
        ({"history": None}, "lacks entries"),
        ({"history": [good["best"], outside]}, "lacks entries"),
        ({"latest": good["best"] | {"seconds": "1"}}, "lacks entries"),
    ):
        path.write_text(json.dumps(good | change))
        with pytest.raises(RunError, match=message):
            Run.open(run.folder)
    for content in (b"", b"{", b"[]", b"\xff", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(RunError, match=r"manifest\.json"):
            Run.open(run.folder)
    path.unlink()
    with pytest.raises(RunError, match="is not a run, or was never begun"):
        Run.open(run.folder)


@pytest.mark.parametrize("file", ["policy.safetensors", "policy.json", "train_state.safetensors"])
@pytest.mark.parametrize("damage", ["torn", "changed", "gone"])
def test_a_damaged_checkpoint_is_refused_and_the_last_good_one_named(tmp_path, file, damage):
    run = create(tmp_path)
    save(run, 1, score=2.0)
    save(run, 2, score=1.0)
    read = run.state if file.startswith("train") else lambda: run.policy("latest")
    for steps, hope in (("2", f"last good checkpoint is .*{os.sep}1 .best"), ("1", "is no good")):
        path = run.folder / "checkpoints" / steps / file
        content = path.read_bytes()
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(content[:-1] if damage == "torn" else content[:-1] + b"!")
        with pytest.raises(RunError, match=hope):
            read()


def test_an_older_checkpoint_is_the_last_good_one_if_all_others_are_damaged(tmp_path):
    run = create(tmp_path, keep=-1)
    for number in (1, 2, 3, 4):
        save(run, number, score=9.0 if number == 3 else 1.0)
    for number in (3, 4):
        (run.folder / "checkpoints" / str(number) / "policy.json").write_text("")
    with pytest.raises(RunError, match=f"last good checkpoint is .*{os.sep}2 .older"):
        run.policy()


def test_what_is_not_json_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(RunError, match="not plain JSON"):
        create(tmp_path, env_config={"a": np.zeros(2)})
    assert not list(tmp_path.iterdir())
    run = create(tmp_path)
    with pytest.raises(RunError, match="not plain JSON"):
        run.save_evaluation({"return": float("nan")})
    run.save_evaluation({"return": 3.0})
    assert json.loads((run.folder / "evaluation.json").read_text()) == {"return": 3.0}


def test_a_run_has_one_writer(tmp_path):
    run = create(tmp_path)
    save(run, 1)
    reader = Run.open(run.folder)
    for write in (lambda: save(reader, 2), lambda: reader.finish("complete")):
        with pytest.raises(RunError, match=r"not open for writing: Run.open\(..., resume=True\)"):
            write()
    if sys.platform != "win32":
        with pytest.raises(RunError, match="already being written to"):
            Run.open(run.folder, resume=True)
    run.finish("interrupted")
    resumed = Run.open(run.folder, resume=True)
    assert resumed.manifest()["status"] == "interrupted"
    resumed.begin()
    assert resumed.manifest()["status"] == "running"
    save(resumed, 2)
    with pytest.raises(ValueError, match="'done' is not one of complete, interrupted, failed"):
        resumed.finish("done")


def test_the_wall_clock_counts_over_a_resume(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = create(tmp_path, keep=-1, started=47.0)
    now[0] += 10
    save(run, 1)
    now[0] += 5
    run.finish("interrupted")
    now[0] += 1000
    run = Run.open(run.folder, resume=True)
    run.begin(now[0] - 2)
    now[0] += 7
    save(run, 2)
    now[0] += 1
    run.finish("complete")
    assert run.manifest()["wall_seconds"] == 28
    assert [entry["seconds"] for entry in run.history()] == [13, 27]


def test_what_a_kill_costs_is_not_counted(tmp_path, monkeypatch):
    now = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run = create(tmp_path)
    now[0] += 10
    save(run, 1)
    now[0] += 100  # killed before the next checkpoint
    run._lock.release()
    run = Run.open(run.folder, resume=True)
    run.begin()
    now[0] += 7
    save(run, 2)
    assert run.manifest()["latest"]["seconds"] == 17


def test_facts_come_with_the_checkpoint_in_one_write(tmp_path, monkeypatch):
    run = create(tmp_path)
    run.save_checkpoint(1, make_policy(1), make_state(1), train_seconds=3.0)
    assert run.manifest()["train_seconds"] == 3.0
    with pytest.raises(RunError, match="not plain JSON"):
        run.save_checkpoint(2, make_policy(2), make_state(2), train_seconds=np.zeros(2))
    assert check_whole(run) == (1, 1)


class Faults:
    """Breaks the k-th system call that changes the disk, before or after it was made."""

    CALLS = (
        (os, "mkdir"),
        (os, "replace"),
        (os, "rename"),
        (os, "fsync"),
        (os, "rmdir"),
        (os, "unlink"),
        (os, "open"),
        (io, "open"),
    )

    def __init__(self, monkeypatch, at, after, strike):
        self.left, self.struck = at, False
        for module, name in self.CALLS:
            monkeypatch.setattr(module, name, self.wrap(getattr(module, name), after, strike))

    def wrap(self, call, after, strike):
        def wrapped(*args, **kwargs):
            reads = call is OPEN and "w" not in args[1]
            self.left -= not reads
            if self.left != 0 or self.struck:
                return call(*args, **kwargs)
            self.struck = True
            if after:
                result = call(*args, **kwargs)
                if hasattr(result, "close"):
                    result.close()
            return strike()

        return wrapped


def prepare(root, keep=0):
    """A run with a best and a latest checkpoint, 1 and 2, that nobody has open."""
    run = create(root, keep)
    save(run, 1, score=2.0)
    save(run, 2, score=1.0)
    run.finish("interrupted")
    return run.folder


def check_survived(folder):
    """The run is whole, with the checkpoint 3 or without it, and can go on."""
    before = check_whole(Run.open(folder))
    assert before in ((1, 2), (3, 3))
    run = Run.open(folder, resume=True)
    run.begin()
    assert check_whole(run) == before
    save(run, 4, score=9.0)
    assert check_whole(run) == (4, 4)
    best_earlier = "3" if before == (3, 3) else "1"
    older = {0: set(), 1: {"3"} if before == (3, 3) else {"2"}}[run.config().keep_checkpoints]
    assert checkpoints(run) == sorted({*older, best_earlier, "4"})
    assert not list(folder.glob(".*.tmp"))
    run.finish("complete")
    return before


def fail(error):
    raise error


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("error", [NO_SPACE, KeyboardInterrupt()])
def test_a_full_disk_or_ctrl_c_at_any_call_leaves_the_run_whole(tmp_path, error, after):
    outcomes = set()
    prepared = prepare(tmp_path)
    for at in range(1, 200):
        folder = shutil.copytree(prepared, tmp_path / str(at))
        run = Run.open(folder, resume=True)
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, at, after, lambda: fail(error))
            try:
                save(run, 3, score=3.0)
            except RunError as told:
                assert error is NO_SPACE
                assert "No space left on device" in str(told)
                assert "the last good checkpoint is" in str(told)
            except KeyboardInterrupt:
                assert error is not NO_SPACE
        run.finish("interrupted")
        outcomes.add(check_survived(folder))
        shutil.rmtree(folder)
        if not faults.struck:
            assert at > 20
            assert outcomes == {(1, 2), (3, 3)}
            return
    pytest.fail("a checkpoint takes too many calls")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
@pytest.mark.parametrize(("after", "keep"), [(False, 0), (True, 0), (True, 1)])
def test_kill_9_at_any_call_leaves_the_run_whole(tmp_path, after, keep):
    outcomes = set()
    prepared = prepare(tmp_path, keep)
    for at in range(1, 200):
        folder = shutil.copytree(prepared, tmp_path / str(at))
        child = os.fork()
        if child == 0:
            with pytest.MonkeyPatch.context() as monkeypatch:
                run = Run.open(folder, resume=True)
                Faults(monkeypatch, at, after, lambda: os.kill(os.getpid(), signal.SIGKILL))
                save(run, 3, score=3.0)
                os._exit(0)
        _, status = os.waitpid(child, 0)
        outcomes.add(check_survived(folder))
        shutil.rmtree(folder)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0
            assert at > 20
            assert outcomes == {(1, 2), (3, 3)}
            return
        assert os.WTERMSIG(status) == signal.SIGKILL
    pytest.fail("a checkpoint takes too many calls")


def test_a_full_disk_at_the_start_is_reported(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda descriptor: fail(NO_SPACE))
    with pytest.raises(RunError, match="cannot make a run folder in .*No space left on device"):
        create(tmp_path)
    monkeypatch.undo()
    with pytest.raises(RunError, match="no run of"):
        find_newest(tmp_path, ENV)


def test_a_read_only_run_can_be_read_and_refuses_to_be_written(tmp_path):
    folder = prepare(tmp_path)
    paths = [folder, *folder.rglob("*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("root may write anywhere")
        assert check_whole(Run.open(folder)) == (1, 2)
        with pytest.raises(RunError, match="cannot resume .*Permission denied"):
            Run.open(folder, resume=True)
        with pytest.raises(RunError, match="cannot make a run folder in .*Permission denied"):
            create(folder)
    finally:
        for path in paths:
            path.chmod(0o755)


def test_a_file_in_the_place_of_the_root_is_reported(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="cannot make a run folder in"):
        create(tmp_path / "runs")


def test_reading_does_not_touch_a_checkpoint_being_written(tmp_path):
    folder = prepare(tmp_path)
    under_way = folder / "checkpoints" / ".3.tmp"
    under_way.mkdir()
    check_whole(Run.open(folder))
    assert under_way.exists()
    Run.open(folder, resume=True).begin()
    assert not under_way.exists()


def test_runs_imports_no_learning_library():
    code = "import rl_zoo.runs, sys; print([m for m in ('torch', 'jax') if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert out.stdout.strip() == "[]"
