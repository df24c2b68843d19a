# SPDX-License-Identifier: Apache-2.0
"""Writing a playback as an mp4."""

import importlib.util
import itertools
import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import missing
from rl_zoo.viewing.playback import Playback

MAX_FPS = 30  # of a video: of faster tasks, only every second, third, ... step is shown


def record(
    playback: Playback, camera: int | str, path: Path, seconds: float, size: tuple[int, int]
) -> None:
    """Writes an mp4 of all rows, tiled, each of `size` (width, height) pixels.

    Raises:
        ZooError: it cannot be written, or the pictures are larger than the model allows.
        RenderingError: (of motrix_gym) there is no OpenGL.
    """
    if not importlib.util.find_spec("imageio_ffmpeg"):
        raise ZooError(missing("imageio_ffmpeg", "video"))
    stride = math.ceil(1 / (MAX_FPS * playback.step_time) - 1e-9)
    fps = 1 / (stride * playback.step_time)
    count = max(1, round(seconds * fps))
    # Without a GPU a picture takes a tenth of a second, and half as much again at full quality.
    quality = playback.env.simulation.picture_model.vis.quality
    quality.offsamples = min(quality.offsamples, 4)
    quality.shadowsize = min(quality.shadowsize, 2048)
    pictures = _pictures(playback, stride, camera, size)
    try:
        first = next(pictures)  # before there is a file
    except ValueError as error:  # a size that the model's visual settings do not allow
        raise UsageError(str(error)) from error
    try:
        _write_video(path, first, pictures, count, fps)
    except OSError as error:
        raise ZooError(f"cannot write {path}: {str(error).splitlines()[0]}") from error


def _pictures(
    playback: Playback, stride: int, camera: int | str, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yields pictures (height, width, 3) uint8 for ever, `stride` steps apart.

    Both sides are even, as H.264 wants it.
    """
    from motrix_gym.rendering import tile

    env = playback.env
    while True:
        sheet = tile(env.pictures(range(env.num_envs), *size, camera))
        yield np.ascontiguousarray(sheet[: sheet.shape[0] // 2 * 2, : sheet.shape[1] // 2 * 2])
        for _ in range(stride):
            playback.step()


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
        for number, picture in enumerate(
            itertools.islice(itertools.chain([first], others), count), 1
        ):
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
