# SPDX-License-Identifier: Apache-2.0
"""Watching a policy, or actions without one, in the viewer that the arguments ask for."""

import argparse
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_zoo.environments import make_env
from rl_zoo.robustness import randomized
from rl_zoo.viewing import options

if TYPE_CHECKING:
    from motrix_gym import MotrixVectorEnv
    from rl_zoo.runs import Run


def watch(
    args: argparse.Namespace,
    env_id: str,
    settings: dict[str, Any],
    make_act: "Callable[[MotrixVectorEnv, int], Any]",
    label: str,
    video: Path,
    *,
    num_envs: int = 1,
    run: "Run | None" = None,
) -> None:
    """Makes the environment, and shows it until the viewer is closed or the time is over.

    Args:
        args: Those of `options.add_viewer_arguments` and `arguments.add_env_arguments`.
        env_id: The environment.
        settings: Settings of the task, by dotted name.
        make_act: Returns, for the environment and a seed, what acts; see `playback.Act`.
        label: A phrase for what acts.
        video: The name of a video, unless the arguments name one.
        num_envs: Environments side by side.
        run: The run whose checkpoints can be chosen in the browser.

    Raises:
        ZooError: A setting, the camera, the viewer or the policy does not fit.
    """
    viewer, seed = options.viewer_asked_for(args), options.seed_asked_for(args)

    def make(randomize: bool) -> "MotrixVectorEnv":
        chosen = randomized(env_id) | settings if randomize else settings
        return make_env(env_id, chosen, num_envs, args.num_threads)

    with contextlib.ExitStack() as stack:
        env = make(args.randomize)
        stack.callback(env.close)
        camera, act = options.find_camera(env, args.camera), make_act(env, seed)
        from rl_zoo.viewing.playback import Playback

        playback = Playback(env, act, seed, make if env.task.randomized else None, args.randomize)
        stack.callback(lambda: playback.env.close())
        print(f"playing {env_id} with {label}, seed {seed}", flush=True)
        if viewer == "native":
            from rl_zoo.viewing.window import show

            show(playback, camera, args.seconds)
        elif viewer == "video":
            from rl_zoo.viewing.video import record

            path = args.video if isinstance(args.video, Path) else video
            size = (args.width, args.height)
            record(playback, camera, path, args.seconds or options.SECONDS, size)
            print(f"video: {path}")
        else:
            from rl_zoo.viewing.checkpoints import Checkpoints
            from rl_zoo.viewing.web import LOOPBACK, serve

            serve(
                playback,
                camera,
                title=env_id,
                label=label,
                checkpoints=Checkpoints(run, env, env_id) if run else None,
                host=args.host or LOOPBACK,
                port=args.port or 0,
                seconds=args.seconds,
            )
