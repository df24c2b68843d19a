# SPDX-License-Identifier: Apache-2.0
"""`motrix play`: watch a policy in a window, or make a video of it."""

import argparse
import importlib.util
import itertools
import math
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rl_zoo import arguments, cli
from rl_zoo.environments import DEFAULT_ENV, find_env, make_env
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import missing
from rl_zoo.policies import check_fits
from rl_zoo.robustness import randomized

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv

MAX_FPS = 30  # of a video: of faster tasks, only every second, third, ... step is shown
SECONDS = 10.0


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status."""
    return cli.run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = _arguments().parse_args(argv)
    from rl_zoo.config import env_name

    settings, num_envs = arguments.task_settings_only(args.set), args.num_envs
    seed = secrets.randbelow(2**31) if args.rand_seed else args.seed
    if args.video and args.video.suffix.lower() != ".mp4":
        raise UsageError(f"--video {args.video}: the name must end in .mp4")
    if args.random:
        env_id = find_env(args.env or DEFAULT_ENV)
        found, label, video = None, "random actions", Path(f"{env_name(env_id)}_random.mp4")
    else:
        found = arguments.policy_asked_for(args)
        env_id, label, video = found.env_id, found.label, Path(f"{env_name(found.env_id)}.mp4")
        settings = found.settings | settings
        if found.run:
            video = found.run.folder / "play.mp4"
            num_envs = num_envs or found.run.config().play_num_envs
    if args.randomize:
        settings = randomized(env_id) | settings
    env = make_env(env_id, settings, num_envs or 1, args.num_threads)
    try:
        camera = _camera(env, args.camera)
        if found:
            check_fits(found.policy, env, env_id)
        act = found.policy.actor() if found else _random_actions(env, seed)
        steps = _observe_steps(env, act, seed)
        in_window = args.video is None and has_display()
        print(f"playing {env_id} with {label}, seed {seed}", flush=True)
        if in_window:
            _show(env, steps, camera, args.seconds)
        else:
            path = args.video or video
            size = (args.width, args.height)
            _record(env, steps, camera, path, args.seconds or SECONDS, size)
            print(f"video: {path}")
    finally:
        env.close()
    return 0


def _arguments() -> argparse.ArgumentParser:
    p = arguments.parser(
        "play",
        "Watch a policy in a window; without a display, or with --video, make an mp4 of it.",
    )
    source = arguments.add_policy_arguments(p)
    source.add_argument("--random", action="store_true", help="random actions, to look at the task")
    p.add_argument("--video", type=Path, metavar="PATH", help="make this mp4, and open no window")
    p.add_argument(
        "--seconds",
        type=arguments.positive("seconds"),
        metavar="T",
        help=f"how long (default: {SECONDS:g} in a video, until closed in a window)",
    )
    p.add_argument("--camera", metavar="NAME", help="name or number (default: the task's)")
    p.add_argument(
        "--width", type=arguments.whole(2), default=640, help="of a row's picture (pixels)"
    )
    p.add_argument(
        "--height", type=arguments.whole(2), default=480, help="of a row's picture (pixels)"
    )
    seed, seeds = p.add_mutually_exclusive_group(), arguments.whole(0, arguments.MAX_SEED)
    seed.add_argument("--seed", type=seeds, default=0, metavar="S", help="default 0")
    seed.add_argument("--rand-seed", action="store_true", help="draw the seed")
    return p


def has_display() -> bool:
    """Whether a window can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _camera(env: "MotrixVectorEnv", name: str | None) -> int | str:
    """Returns the camera to look through.

    Raises:
        ZooError: there is no such camera.
    """
    from motrix_gym.names import shown

    if name is None:
        return env.task.camera
    names = [env.model.camera(i).name for i in range(env.model.ncam)]
    if name in names:
        return name
    numbers = map(str, range(-1, len(names)))
    if name in numbers:
        return int(name)
    there = f"{', '.join(names) or 'none'}, and -1 for the free camera"
    raise UsageError(f"no camera {shown(name)}; there are: {there}")


def _random_actions(env: "MotrixVectorEnv", seed: int) -> Callable[..., np.ndarray]:
    """Returns a policy that draws actions uniformly from the action space."""
    env.action_space.seed(seed)
    return lambda *_: env.action_space.sample()


def _observe_steps(env: "MotrixVectorEnv", act: Any, seed: int) -> Iterator[None]:
    """Resets, then steps for ever with the policy; yields after each, with the state to show."""
    observations, _ = env.reset(seed=seed)
    ended = np.ones(env.num_envs, bool)  # so that an episode begins
    while True:
        yield
        observations, _, terminated, truncated, _ = env.step(act(observations, ended))
        ended = terminated | truncated


def _show(
    env: "MotrixVectorEnv", steps: Iterator[None], camera: int | str, seconds: float | None
) -> None:
    """Shows row 0 in a window, in real time, until it is closed or the time is over."""
    import mujoco
    import mujoco.viewer

    model = env.simulation.picture_model
    data = mujoco.MjData(model)
    step_time, started = env.config.control_timestep, time.perf_counter()
    try:
        viewer = mujoco.viewer.launch_passive(model, data)
    except RuntimeError as error:  # such as: macOS wants `mjpython`
        raise ZooError(f"no window can be opened: {error}; try --video PATH") from error
    with viewer:
        number = model.camera(camera).id if isinstance(camera, str) else camera
        if number >= 0:
            viewer.cam.type, viewer.cam.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, number
        for count, _ in enumerate(steps):
            if not viewer.is_running() or (seconds and count * step_time >= seconds):
                return
            with viewer.lock():
                env.simulation.picture(0, data)
            viewer.sync()
            time.sleep(max(0.0, started + count * step_time - time.perf_counter()))


def _record(
    env: "MotrixVectorEnv",
    steps: Iterator[None],
    camera: int | str,
    path: Path,
    seconds: float,
    size: tuple[int, int],
) -> None:
    """Writes an mp4 of all rows, tiled, each of `size` (width, height).

    Raises:
        ZooError: it cannot be written, or the pictures are larger than the model allows.
        RenderingError: (of motrix_gym) there is no OpenGL.
    """
    if not importlib.util.find_spec("imageio_ffmpeg"):
        raise ZooError(missing("imageio_ffmpeg", "video"))
    stride = math.ceil(1 / (MAX_FPS * env.config.control_timestep) - 1e-9)
    fps = 1 / (stride * env.config.control_timestep)
    count = max(1, round(seconds * fps))
    # Without a GPU a picture takes a tenth of a second, and half as much again at full quality.
    quality = env.simulation.picture_model.vis.quality
    quality.offsamples = min(quality.offsamples, 4)
    quality.shadowsize = min(quality.shadowsize, 2048)
    pictures = _pictures(env, itertools.islice(steps, 0, count * stride, stride), camera, size)
    try:
        first = next(pictures)  # before there is a file
    except ValueError as error:  # a size that the model's visual settings do not allow
        raise UsageError(str(error)) from error
    try:
        _write_video(path, first, pictures, count, fps)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {str(error).splitlines()[0]}") from error


def _pictures(
    env: "MotrixVectorEnv", steps: Iterable[None], camera: int | str, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yields a picture (height, width, 3) uint8 per step; both sides even, as H.264 wants it."""
    from motrix_gym.rendering import tile

    for _ in steps:
        sheet = tile(env.pictures(range(env.num_envs), *size, camera))
        yield np.ascontiguousarray(sheet[: sheet.shape[0] // 2 * 2, : sheet.shape[1] // 2 * 2])


def _write_video(
    path: Path, first: np.ndarray, others: Iterator[np.ndarray], count: int, fps: float
) -> None:
    """Writes `count` pictures; the file appears under its name when it is whole.

    Raises:
        OSError: it cannot be written; an older one is as it was.
    """
    import imageio_ffmpeg

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    writer = imageio_ffmpeg.write_frames(
        str(temporary),
        first.shape[1::-1],
        fps=fps,  # pyright: ignore[reportArgumentType]
        codec="libx264",
        quality=7,
        macro_block_size=1,
        ffmpeg_log_level="error",
    )
    try:
        temporary.touch()  # ffmpeg would say less clearly that this cannot be
        writer.send(None)
        for number, picture in enumerate(itertools.chain([first], others), 1):
            writer.send(picture)
            _tell(number, count)
        writer.close()
        try:
            written, _ = imageio_ffmpeg.count_frames_and_secs(str(temporary))
        except RuntimeError:  # what ffmpeg cannot read
            written = 0
        if written != count:
            raise OSError(f"ffmpeg wrote {written} of {count} pictures; is the disk full?")
        os.replace(temporary, path)
    finally:
        writer.close()
        if temporary.exists():
            temporary.unlink()


def _tell(done: int, total: int) -> None:
    """Shows how far a video is, on a terminal."""
    if sys.stdout.isatty():
        end = "\r\x1b[K" if done == total else ""
        print(f"\rframe {done} of {total}{end}", end="", flush=True)
