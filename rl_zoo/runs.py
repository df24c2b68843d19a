# SPDX-License-Identifier: Apache-2.0
"""The run folder: what a training run leaves behind, whole at any moment.

    runs/Go1-v0/2026-03-01_12-30-00_ppo_skrl-jax/
      manifest.json              what is in the folder: only what it names belongs to the run
      config.yaml                the settings, as `rl_zoo.config` reads them
      events.out.tfevents.*      TensorBoard
      checkpoints/<env steps>/   policy.safetensors  policy.json  train_state.safetensors
                                 replay.safetensors: of the latest one, where there is a buffer
      evaluation.json
      stages/1/                  a run of the first stage, if it is not the last; and so on

A checkpoint is written under a temporary name, synced and renamed; then the manifest, which names
the best and the latest one and the older ones that are kept (`keep_checkpoints`), with their
digests, is replaced in one piece; then the others are removed. So a full disk, Ctrl-C or kill -9
costs the checkpoint being written and never an earlier one. Files that the manifest does not name
are removed when the run is next written to.

While the best checkpoint is the latest one, the best of the earlier ones is kept too, since the
training chooses between those two at its end.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import BaseFileLock

from adapters import AlgorithmConfig, Policy, PolicyError
from motrix_gym.files import write_file
from motrix_gym.names import shown
from motrix_gym.policy_files import ARRAYS_FILE, JSON_FILE
from rl_zoo import checkpoints, evaluation, locks, manifests
from rl_zoo import config as zoo_config
from rl_zoo.environments import env_of_run
from rl_zoo.manifests import (
    CHECKPOINTS,
    FILES,
    MANIFEST,
    REPLAY_FILE,
    SCHEMA_VERSION,
    STATE_FILE,
    RunError,
    encode,
    entries,
    rank,
    without_replay,
)
from rl_zoo.provenance import session, sessions

CONFIG = "config.yaml"
EVALUATION = "evaluation.json"
ENDINGS = ("complete", "interrupted", "failed")


class Run:
    """One run folder. Made by `Run.create` or `Run.open`.

    Attributes:
        folder: Where it is; TensorBoard events go here.
    """

    def __init__(self, folder: Path, lock: BaseFileLock | None = None):
        self.folder = folder
        self._lock = lock
        self._started = time.monotonic()  # what came before is in the manifest's wall_seconds
        self._keep = 0

    def __repr__(self) -> str:
        try:
            status = self.manifest()["status"]
        except RunError:
            status = "damaged"
        return f"Run({self.folder}, {status})"

    @classmethod
    def create(
        cls,
        root: str | Path,
        env_id: str,
        trainer: str,
        config: AlgorithmConfig,
        *,
        algo: str = "ppo",
        env_config: dict[str, Any] | None = None,
        task: dict[str, Any] | None = None,
        module: str | None = None,
        device: str = "cpu",
        log: Sequence[str] = (),
        started: float | None = None,
        folder: Path | None = None,
    ) -> Self:
        """Makes a new run folder under root, open for writing.

        Args:
            root: The folder of all runs, made if need be.
            env_id: The environment's id.
            trainer: The trainer's name.
            config: The settings, with the seed drawn.
            algo: The algorithm's name.
            env_config: Task settings that differ from the registered ones, by dotted name.
            task: All of the task's settings, as `motrix_gym.settings.as_json` gives them.
            module: The user's module that registers the environment; None if there is none.
            device: What the trainer learns on; a resumed run goes on there.
            log: Where its scalars go beside TensorBoard, by name.
            started: When the run's clock began (`time.monotonic()`); by default now.
            folder: The run's folder, instead of a new one under root.

        Raises:
            RunError: the folder cannot be written, or a setting of the task is not plain JSON.
        """
        now = datetime.now(UTC)
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "env_id": env_id,
            "env_config": env_config or {},
            "task": task or {},
            "module": module,
            "algo": algo,
            "trainer": trainer,
            "device": device,
            "seed": config.seed,
            "log": list(log),
            "sessions": [session()],
            "created": now.isoformat(timespec="microseconds"),
            "status": "running",
            "steps": 0,
            "wall_seconds": 0.0,
            "train_seconds": 0.0,
            "best": None,
            "latest": None,
            "history": [],
        }
        text = encode(manifest)
        name = f"{now.astimezone():%Y-%m-%d_%H-%M-%S}_{algo}_{trainer}"
        with _as_run_error(f"make a run folder in {root}"):
            parent = folder.parent if folder else Path(root) / zoo_config.env_name(env_id)
            parent.mkdir(parents=True, exist_ok=True)
            run = cls(_make_folder(parent, folder.name if folder else name))
            run._started = run._started if started is None else started
            run._keep = config.keep_checkpoints
            try:
                run._lock = _locked(run.folder)
                (run.folder / checkpoints.FOLDER).mkdir()
                write_file(run.folder / CONFIG, zoo_config.dump(config, algo).encode())
                write_file(run.folder / MANIFEST, text)
            except BaseException:  # a full disk, or Ctrl-C: no half a run
                shutil.rmtree(run.folder, ignore_errors=True)
                raise
        return run

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        env_id: str | None = None,
        resume: bool = False,
    ) -> Self:
        """Opens a run to read it, or with `resume` to go on writing it, after `begin`.

        Args:
            folder: The run folder.
            env_id: The environment that the run must be of.
            resume: Take the run's lock, so that no other process changes what is read afterwards.
                Nothing is written yet.

        Raises:
            RunError: there is no run, or it is of another environment, of an unknown version, or
                already being written to.
        """
        run = cls(Path(folder))
        manifest = run.manifest()
        if env_id is not None and manifest["env_id"] != env_id:
            raise RunError(f"{folder} is a run of {manifest['env_id']}, not of {env_id}")
        if resume:
            run._keep = run.config().keep_checkpoints  # the settings of a run never change
            with _as_run_error(f"resume {folder}"):
                run._lock = _locked(run.folder)
        return run

    def begin(self, started: float | None = None) -> None:
        """Marks a resumed run as running, adds this process to its sessions, and removes litter.

        Args:
            started: Since when this process works on the run (`time.monotonic()`); by default since
                it was opened.

        Raises:
            RunError: the manifest cannot be written.
        """
        self._check_writable()
        self._started = self._started if started is None else started
        with _as_run_error(f"resume {self.folder}"):
            known = sessions(self.manifest())
            new = [session()] if known[-1] != session() else []
            self._commit(status="running", sessions=known + new)
        self._remove_litter()

    def manifest(self) -> dict[str, Any]:
        """Returns the manifest as it is on disk, checked.

        Raises:
            RunError: It is missing, damaged or of an unknown version.
        """
        return manifests.read(self.folder)

    def config(self) -> AlgorithmConfig:
        """Returns the settings of the run.

        Raises:
            rl_zoo.config.ConfigError: config.yaml was damaged by hand.
        """
        m = self.manifest()
        return zoo_config.load(
            m["env_id"], m["algo"], m["trainer"], hyperparams=self.folder / CONFIG
        )

    def save_checkpoint(
        self,
        steps: int,
        policy: Policy,
        state: dict[str, np.ndarray],
        score: float | None = None,
        **facts: Any,
    ) -> None:
        """Makes a checkpoint the latest one, and the best if no other has a higher score.

        Args:
            steps: Environment steps made.
            policy: The policy to play.
            state: What the trainer needs to go on.
            score: The higher the better; None or not finite where none is known yet.
            **facts: Plain facts for the manifest, such as the speed of the training.

        Raises:
            RunError: it cannot be written; the earlier checkpoints are as they were.
        """
        self._check_writable()
        now = time.monotonic()
        try:
            with _as_run_error(f"write a checkpoint in {self.folder}", self._last_good):
                manifest = self.manifest()
                seconds = manifest["wall_seconds"] + now - self._started
                score = float(score) if score is not None and math.isfinite(score) else None
                entry = {"steps": int(steps), "seconds": seconds, "score": score}
                entry |= checkpoints.write(self.folder, str(int(steps)), policy, state)
                best = manifest["best"]
                if best is None or rank(entry) >= rank(best):
                    best = entry
                self._commit_checkpoints(best, entry, steps=int(steps), **facts)
        finally:
            self._remove_litter()

    def add_stage(self, **facts: Any) -> None:
        """Notes that an earlier stage has ended; its own run counts its time.

        Args:
            **facts: The entry in the manifest's "stages": `envs`, `steps`, `seconds`, `ended`.

        Raises:
            RunError: the manifest cannot be written.
        """
        self._check_writable()
        self._started = time.monotonic()
        with _as_run_error(f"write {MANIFEST} in {self.folder}"):
            self._commit(stages=[*self.manifest().get("stages", ()), facts])

    def best_earlier(self) -> str | None:
        """Returns the folder of the best checkpoint before the latest; None if there is none."""
        manifest = self.manifest()
        earlier = [e for e in entries(manifest) if e["folder"] != manifest["latest"]["folder"]]
        return max(earlier, key=rank)["folder"] if earlier else None

    def promote(self, which: str) -> None:
        """Makes a checkpoint, named as for `policy`, the best one, whatever the scores say.

        Raises:
            RunError: the manifest cannot be written, or the checkpoint is damaged.
        """
        self._check_writable()
        entry = self._verified(which, FILES)
        with _as_run_error(f"write {MANIFEST} in {self.folder}"):
            self._commit_checkpoints(entry, self.manifest()["latest"])
        self._remove_litter()

    def save_evaluation(self, result: dict[str, Any]) -> None:
        """Writes evaluation.json; a run open for reading may do that too.

        Raises:
            RunError: it cannot be written, or is not plain JSON.
        """
        with _as_run_error(f"write {EVALUATION} in {self.folder}"):
            write_file(self.folder / EVALUATION, encode(result))

    def finish(self, status: str) -> None:
        """Ends the writing with a status: "complete", "interrupted" or "failed".

        Raises:
            RunError: the manifest cannot be written.
        """
        if status not in ENDINGS:
            raise ValueError(f"status={status!r} is not one of {', '.join(ENDINGS)}")
        self._check_writable()
        try:
            with _as_run_error(f"finish {self.folder}", self._last_good):
                self._commit(status=status)
        finally:
            self.close()

    def close(self) -> None:
        """Lets other processes write the run, which stays as it is."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def history(self) -> list[dict[str, Any]]:
        """Returns the manifest's entries of all checkpoints there are, each once, by their steps.

        An entry has `steps` (environment steps), `seconds` (of the run's clock when the policy was
        taken, start-up included; missing in runs of old), `score`, `folder` and `sha256`.

        Raises:
            RunError: as `manifest`.
        """
        return entries(self.manifest())

    def policy_folder(self, which: str = "best") -> Path:
        """Returns the folder of a policy, named as for `policy`.

        Raises:
            RunError: as `policy`.
        """
        entry = self._verified(which, (ARRAYS_FILE, JSON_FILE))
        return checkpoints.path_of(self.folder, entry)

    def policy(self, which: str = "best") -> Policy:
        """Returns the policy of the "best", the "latest", or a `history()` entry's folder.

        Raises:
            RunError: there is none yet, or it is damaged; the message names the last good one.
        """
        try:
            return Policy.load(self.policy_folder(which))
        except PolicyError as error:
            raise RunError(str(error)) from error

    def state(self, which: str = "latest") -> dict[str, np.ndarray]:
        """Returns the trainer's state of a checkpoint, named as for `policy`.

        The contents of a replay buffer are in the latest one's only.

        Raises:
            RunError: as `policy`.
        """
        entry = self._verified(which, (STATE_FILE, REPLAY_FILE))
        return checkpoints.read_state(self.folder, entry)

    def evaluate(
        self,
        episodes: int = evaluation.EPISODES,
        *,
        which: str = "best",
        env: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> evaluation.Evaluation:
        """Measures a policy of the run; nothing is written.

        Args:
            episodes: Number of whole episodes.
            which: As for `policy`.
            env: Task settings by dotted name, beside those that the run was trained with.
            **options: As for `evaluation.evaluate_policy`: `num_envs`, `seed`, `stochastic`, ...

        Returns:
            The figures; printed, a table.

        Raises:
            RunError: There is no such policy, or it is damaged.
            ZooError: The environment is not registered, or cannot be made or evaluated so.
        """
        manifest = self.manifest()
        settings = manifest["env_config"] | dict(env or {})
        env_id = env_of_run(manifest, self.folder)
        return evaluation.evaluate_policy(
            env_id, self.policy(which), episodes=episodes, settings=settings, **options
        )

    def _check_writable(self) -> None:
        if self._lock is None:
            raise RunError(f"{self.folder} is not open for writing: Run.open(..., resume=True)")

    def _commit(self, **changes: Any) -> None:
        """Replaces the manifest on disk by a changed one."""
        manifest = self.manifest()
        now = time.monotonic()
        wall = manifest["wall_seconds"] + now - self._started
        write_file(self.folder / MANIFEST, encode(manifest | {"wall_seconds": wall} | changes))
        self._started = now

    def _commit_checkpoints(
        self, best: dict[str, Any], latest: dict[str, Any], **changes: Any
    ) -> None:
        """Replaces the manifest by one with these checkpoints and the older ones to keep."""
        if best["folder"] != latest["folder"]:
            best = without_replay(best)
        named = (best["folder"], latest["folder"])
        older = [
            without_replay(entry)
            for entry in entries(self.manifest())
            if entry["folder"] not in named and entry["steps"] < latest["steps"]
        ]
        first = 0 if self._keep < 0 else max(len(older) - self._keep, 0)
        history = older[first:]
        if best["folder"] == latest["folder"] and first:
            spare = max(older, key=rank)
            history = history if spare in history else [spare, *history]
        self._commit(best=best, latest=latest, history=history, **changes)

    def _remove_litter(self) -> None:
        """Removes what the manifest does not name: checkpoints, replay buffers, temporary files."""
        with suppress(RunError, OSError):  # what stays is ignored, and goes the next time
            kept = {entry["folder"]: entry for entry in self.history()}
            checkpoints.remove_others(self.folder, kept)
            for path in self.folder.glob(".*.tmp"):
                path.unlink()

    def _verified(self, which: str, files: tuple[str, ...]) -> dict[str, Any]:
        """Returns the manifest's entry of a checkpoint whose files have their recorded digests."""
        manifest = self.manifest()
        known = {entry["folder"]: entry for entry in entries(manifest)}
        if which not in (*CHECKPOINTS, *known):
            names = ", ".join((*CHECKPOINTS, *known))
            raise ValueError(f"which={shown(which)} is not one of {names}")
        entry = manifest[which] if which in CHECKPOINTS else known[which]
        if entry is None:
            raise RunError(
                f"{self.folder} has no checkpoint yet (status: {manifest['status']}): there is "
                "nothing to play or to resume, only to train anew"
            )
        if damage := checkpoints.damage(self.folder, entry, files):
            raise RunError(f"{damage}; {self._last_good()}")
        return entry

    def _last_good(self) -> str:
        """Returns a phrase that names the last checkpoint without damage."""
        manifest = self.manifest()
        named = [(which, manifest[which]) for which in CHECKPOINTS if manifest[which]]
        for which, entry in named + [("older", entry) for entry in reversed(entries(manifest))]:
            if not checkpoints.damage(self.folder, entry, tuple(entry["sha256"])):
                path = checkpoints.path_of(self.folder, entry)
                return f"the last good checkpoint is {path} ({which})"
        return "there is no good checkpoint"


def find_newest(root: str | Path, env_id: str) -> Path:
    """Returns the folder of the newest run of an environment that has a checkpoint.

    Raises:
        RunError: there is none; runs that were passed over are counted.
        OSError: the folder cannot be read.
    """
    parent = Path(root) / zoo_config.env_name(env_id)
    found: list[tuple[str, Path]] = []
    skipped = 0
    for path in parent.glob(f"*/{MANIFEST}"):
        try:
            manifest = Run(path.parent).manifest()
        except RunError:
            skipped += 1
            continue
        if manifest["env_id"] == env_id and manifest["latest"]:
            found.append((manifest["created"], path.parent))
    if not found:
        passed = f" ({skipped} unreadable)" if skipped else ""
        raise RunError(f"no run of {env_id} with a checkpoint in {parent}{passed}: train one first")
    return max(found)[1]


def _locked(folder: Path) -> BaseFileLock:
    try:
        return locks.take(folder)
    except locks.LockedError as error:
        raise RunError(str(error)) from error


@contextmanager
def _as_run_error(what: str, remains: Callable[[], str] = str) -> Iterator[None]:
    """Turns an OSError into a RunError that says what could not be done, and what remains."""
    try:
        yield
    except OSError as error:
        reason = f"{error.strerror or error} ({error.filename})" if error.filename else error
        message = "; ".join(filter(None, (f"cannot {what}: {reason}", remains())))
        raise RunError(message) from error


def _make_folder(parent: Path, name: str) -> Path:
    """Makes parent/name or a numbered sibling; several processes may do so at once."""
    while True:
        path = checkpoints.free_path(parent, name)
        with suppress(FileExistsError):
            path.mkdir()
            return path
