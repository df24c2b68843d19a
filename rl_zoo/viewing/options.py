# SPDX-License-Identifier: Apache-2.0
"""The arguments of commands that show something, and the viewer that they ask for."""

import argparse
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import arguments
from rl_zoo.errors import UsageError
from rl_zoo.viewing.window import has_display

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv

VIEWERS = ("native", "video", "web")
SECONDS = 10.0  # of a video


def add_viewer_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the arguments that `viewer_asked_for`, `seed_asked_for` and `find_camera` read."""
    add, side = p.add_argument, arguments.whole(2)
    add(
        "--viewer",
        metavar="V",
        help="native: a window; web: a page for any browser; video: an mp4 (default: native where "
        "there is a display, else web)",
    )
    add(
        "--video",
        nargs="?",
        const=True,
        type=Path,
        metavar="PATH",
        help="make an mp4, of this name if one is given; as --viewer video",
    )
    add(
        "--seconds",
        type=arguments.positive("seconds"),
        metavar="T",
        help=f"how long (default: {SECONDS:g} in a video, else until you end it)",
    )
    _add_page_arguments(p)
    add("--camera", metavar="NAME", help="name or number (default: the task's)")
    add("--width", type=side, default=640, help="of a row in a video (pixels)")
    add("--height", type=side, default=480, help="of a row in a video (pixels)")
    seed, seeds = p.add_mutually_exclusive_group(), arguments.whole(0, arguments.MAX_SEED)
    seed.add_argument("--seed", type=seeds, default=0, metavar="S", help="default 0")
    seed.add_argument("--rand-seed", action="store_true", help="draw the seed")


def add_training_viewer_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the arguments that `training_page_asked_for` reads."""
    p.add_argument(
        "--viewer", metavar="V", help="web: a page for any browser, with the first row meanwhile"
    )
    _add_page_arguments(p)


def _add_page_arguments(p: argparse.ArgumentParser) -> None:
    add = p.add_argument
    add("--host", metavar="ADDRESS", help="where the page is served (default 127.0.0.1)")
    add(
        "--port",
        type=arguments.whole(1, 65535),
        metavar="N",
        help="of the page (default: the first that is free from 8080 on)",
    )


def training_page_asked_for(args: argparse.Namespace) -> tuple[str, int] | None:
    """Returns address and port of the page for a training; port 0: one that is free; None: no page.

    Raises:
        UsageError: Another viewer is asked for, the address or the port cannot be used, or the
            arguments contradict each other.
    """
    if args.viewer is None:
        _check_page(args, "no viewer")
        return None
    _check_name(args.viewer)
    if args.viewer != "web":
        raise UsageError(
            f"--viewer {args.viewer}: a training is shown in a browser, so take web; motrix play "
            "shows its checkpoints in a window or as a video"
        )
    from rl_zoo.viewing.web import LOOPBACK, check_address

    page = args.host or LOOPBACK, args.port or 0
    if "WORLD_SIZE" not in os.environ:  # of several processes that begin at once, none need look
        check_address(*page)
    return page


def _check_name(viewer: str) -> None:
    """Raises UsageError if there is no such viewer."""
    from motrix_gym.names import did_you_mean, shown

    if viewer not in VIEWERS:
        hint = did_you_mean(viewer, VIEWERS)
        raise UsageError(f"no viewer {shown(viewer)}{hint}; there are: {', '.join(VIEWERS)}")


def _check_page(args: argparse.Namespace, viewer: str) -> None:
    """Raises UsageError if there is an address, and no page."""
    if viewer != "web" and (args.host or args.port):
        raise UsageError("--host and --port are of a page: add --viewer web, or leave them out")


def viewer_asked_for(args: argparse.Namespace) -> str:
    """Returns the viewer: "native", "video" or "web".

    Raises:
        UsageError: There is no such viewer, it cannot be opened here, or the arguments contradict
            each other.
    """
    viewer = args.viewer or ("video" if args.video else "native" if has_display() else "web")
    _check_name(viewer)
    if args.video and viewer != "video":
        raise UsageError(f"--video makes an mp4: leave it out, or --viewer {viewer}")
    if isinstance(args.video, Path) and args.video.suffix.lower() != ".mp4":
        raise UsageError(f"--video {args.video}: the name must end in .mp4")
    _check_page(args, viewer)
    if viewer == "native" and not has_display():
        raise UsageError(
            "--viewer native: there is no display here (DISPLAY is not set): take web or video"
        )
    return viewer


def seed_asked_for(args: argparse.Namespace) -> int:
    """Returns the seed, drawn if that is wanted."""
    return secrets.randbelow(2**31) if args.rand_seed else args.seed


def find_camera(env: "MotrixVectorEnv", name: str | None) -> int | str:
    """Returns the camera to look through.

    Raises:
        UsageError: there is no such camera.
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
