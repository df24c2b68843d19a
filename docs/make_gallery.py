# SPDX-License-Identifier: Apache-2.0
"""Draw a picture and a short film of every environment: ``python docs/make_gallery.py``.

They go to docs/gallery, and gallery.md shows them. ``--env ID ...`` draws some environments alone,
``--page`` writes gallery.md alone. Needs the video extra, and OpenGL; without a display, with
``MUJOCO_GL=egl``, it takes some ten minutes on one core.

The shipped policy acts; where there is none yet, the action is zero.
"""

import argparse
from pathlib import Path

import gymnasium
import imageio.v3 as imageio
import imageio_ffmpeg
import numpy as np
from make_site import pages
from PIL import Image

from motrix_gym import registration
from rl_zoo.policies import pretrained

FOLDER = Path(__file__).with_name("gallery")
PAGE = Path(__file__).with_name("gallery.md")
SECONDS = 4.0  # of a film
RATE = 25  # pictures per second, at most
DRAWN, SIZE = (640, 480), (320, 240)  # pixels: a picture is drawn larger, which smooths its edges
CODING = ["-crf", "28", "-preset", "veryslow", "-movflags", "+faststart"]
HEAD = """# Gallery

The beginning of an episode of each environment, from seed 0, in real time, under the policy that we
ship. Where none is shipped yet, the action is zero. `python docs/make_gallery.py` draws all of it.
"""


def draw(env_id: str) -> None:
    """Write a film of the first seconds of an episode, and its last picture."""
    envs = gymnasium.make_vec(
        env_id, num_envs=1, render_mode="rgb_array", render_size=DRAWN, num_threads=1
    )
    task = envs.unwrapped.task
    envs.unwrapped.simulation.picture_model.vis.quality.offsamples = 4  # enough for small pictures
    policy = pretrained(env_id)
    act = policy.actor() if policy else lambda *_: np.zeros(envs.action_space.shape, np.float32)
    apart = max(1, round(1 / (RATE * task.dt)))  # steps from one picture to the next
    frames, ended = [], np.ones(1, bool)
    observations, _ = envs.reset(seed=0)
    for step in range(round(SECONDS / task.dt)):
        if step % apart == 0:
            frames += map(small, envs.render() or ())
        observations, _, terminated, truncated, _ = envs.step(act(observations, ended))
        ended = terminated | truncated
    envs.close()
    name = FOLDER / registration.env_name(env_id)
    imageio.imwrite(name.with_suffix(".jpg"), frames[-1], quality=80, optimize=True)
    write_film(name.with_suffix(".mp4"), frames, fps=1 / (apart * task.dt))


def small(picture: np.ndarray) -> np.ndarray:
    """A picture (height, width, 3) uint8 in the film's size."""
    return np.array(Image.fromarray(picture).resize(SIZE, Image.Resampling.LANCZOS))


def write_film(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write an mp4 of few bytes."""
    writer = imageio_ffmpeg.write_frames(
        str(path), SIZE, fps=fps, codec="libx264", quality=None, output_params=CODING
    )
    writer.send(None)
    for frame in frames:
        writer.send(frame)
    writer.close()


def page() -> str:
    """The text of gallery.md: every environment whose pictures are in the folder, by family."""
    cards: dict[str, list[str]] = {}
    for env_id in pages.suite():
        name = registration.env_name(env_id)
        if (FOLDER / f"{name}.jpg").is_file():
            what = pages.summary(pages.task_of(env_id))
            policy = "" if pretrained(env_id) else " No policy yet."
            cards.setdefault(pages.title(pages.family(env_id)), []).append(
                f"-   [![{name}](gallery/{name}.jpg)](gallery/{name}.mp4)\n\n"
                f"    **{env_id}**\n\n    {what}{policy}\n"
            )
    parts = [HEAD]
    for title, own in cards.items():
        parts += [f"## {title}\n", '<div class="grid cards" markdown>\n', *own, "</div>\n"]
    return "\n".join(parts)


def main() -> None:
    """Draw what is asked for, and write the page."""
    suite = pages.suite()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env", nargs="+", metavar="ID", default=suite, choices=suite)
    parser.add_argument("--page", action="store_true", help="write gallery.md alone")
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    for env_id in () if args.page else args.env:
        draw(env_id)
        sizes = (FOLDER.joinpath(registration.env_name(env_id) + end) for end in (".jpg", ".mp4"))
        print(f"{env_id}: {sum(path.stat().st_size for path in sizes) // 1000} kB", flush=True)
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
