# SPDX-License-Identifier: Apache-2.0
"""What surrounds the robot in the browser: one window to steer with, one of rewards and metrics."""

from collections.abc import Callable

from mujoco.studio import messages, plugin
from mujoco.studio.dear_imgui import dear_imgui as imgui
from mujoco.studio.implot import implot

from rl_zoo.errors import ZooError
from rl_zoo.hints import short
from rl_zoo.viewing.checkpoints import Checkpoints
from rl_zoo.viewing.playback import HISTORY, SPEEDS, Playback

WIDTH = 330  # of a window, in pixels
PUSH = 0.5  # m/s
OPEN = int(imgui.TreeNodeFlags.DefaultOpen)
RED = imgui.Vec4(0.85, 0.2, 0.15, 1.0)
BARS = (0.2, 0.45, 0.8, 1.0), (0.85, 0.35, 0.2, 1.0)  # of rewards above 0 and below
BAR_WIDTH = 90  # pixels, from 0 to the largest
DRAWN = "drawn"  # what is not chosen
KEY = imgui.Key
KEYS = (KEY.W, KEY.S), (KEY.A, KEY.D), (KEY.Q, KEY.E)  # up and down, of commands in order


class Panels(plugin.ViewerPlugin):
    """Draws the windows, and does to the playback what they are told."""

    def __init__(self, playback: Playback, title: str, label: str, checkpoints: Checkpoints | None):
        """Begins with the policy that the playback has.

        Args:
            playback: What is steered.
            title: Of the window.
            label: A phrase for the policy.
            checkpoints: Those of the policy's run, if it is of one.
        """
        self._playback, self._title, self._label = playback, title, label
        self._checkpoints, self._message, self._choosing = checkpoints, "", False
        self._push, self._size = PUSH, (0.0, 0.0)

    @messages.handler
    def on_build_gui(self, event: messages.BuildGuiEvent) -> None:
        """Draws a frame."""
        page = imgui.GetIO().DisplaySize
        size = page.x, page.y
        place = int(imgui.Cond.FirstUseEver if size == self._size else imgui.Cond.Always)
        self._size = size
        self._steer()
        if _begin(self._title, 10, page.y, place):
            self._time()
            self._failure()
            self._policy()
            self._commands()
            self._episodes()
            self._pushes()
        imgui.End()
        if _begin("Rewards and metrics", page.x - WIDTH - 10, page.y, place):
            self._rewards()
            self._metrics()
        imgui.End()

    def _time(self) -> None:
        playback = self._playback
        if imgui.Button("Go on" if playback.paused else "Pause"):
            playback.paused = not playback.paused
        imgui.SameLine()
        if imgui.Button("Step"):
            playback.paused = True
            playback.step()
        imgui.SameLine()
        if imgui.Button("Reset"):
            playback.reset()
        imgui.SameLine()
        imgui.Text(f"{playback.time:.2f} s")
        logarithmic = int(imgui.SliderFlags.Logarithmic)
        changed, speed = imgui.SliderFloat(
            "speed", playback.speed, *SPEEDS, format="%.2f x", flags=logarithmic
        )
        if changed:
            playback.speed = min(max(speed, SPEEDS[0]), SPEEDS[1])
        if playback.env.num_envs > 1:
            changed, row = imgui.InputInt("row", playback.row)
            if changed:
                playback.row = row

    def _failure(self) -> None:
        if self._message:
            imgui.PushStyleColor(int(imgui.Col.Text), RED)
            imgui.TextWrapped(self._message)
            imgui.PopStyleColor()

    def _policy(self) -> None:
        if not imgui.CollapsingHeader("Policy", OPEN):
            return
        checkpoints = self._checkpoints
        if checkpoints is None:
            imgui.TextWrapped(self._label)
            return
        opened = imgui.BeginCombo("checkpoint", checkpoints.names.get(checkpoints.shown, "gone"))
        if opened:
            if not self._choosing:
                self._try(checkpoints.refresh)
            for folder, name in list(checkpoints.names.items()):
                if imgui.Selectable(f"{name}##{folder}", folder == checkpoints.shown):
                    self._try(lambda folder=folder: self._swap(folder))
            imgui.EndCombo()
        self._choosing = opened

    def _swap(self, folder: str) -> None:
        assert self._checkpoints
        self._playback.use(self._checkpoints.load(folder).actor())

    def _try(self, act: Callable[[], None]) -> None:
        """Acts; what fails is told in the window, and nothing else changes."""
        try:
            act()
            self._message = ""
        except ZooError as error:
            self._message = short(str(error))

    def _commands(self) -> None:
        playback = self._playback
        commands = playback.env.task.commands
        if not commands or not imgui.CollapsingHeader("Commands", OPEN):
            return
        for command in commands:
            held = command in playback.held
            changed, hold = imgui.Checkbox(f"##hold {command.name}", held)
            imgui.SetItemTooltip("hold this value, in place of the task's own commands")
            asked = playback.asked(command)
            if changed:
                playback.hold(command, asked if hold else None)
            imgui.SameLine()
            imgui.SetNextItemWidth(110)
            changed, value = imgui.SliderFloat(
                f"{command.name}##{command.index}",
                asked,
                command.low,
                command.high,
                format=f"%.2f {command.unit}",
            )
            if changed:
                playback.hold(command, min(max(value, command.low), command.high))
        if pairs := KEYS[: len(playback.steered)]:
            imgui.TextDisabled(f"keys: {', '.join(f'{up.name} {down.name}' for up, down in pairs)}")

    def _steer(self) -> None:
        """Steers by keys, unless something in a window is being edited."""
        shares = [0] * len(self._playback.steered)
        if not imgui.IsAnyItemActive():
            for index, (up, down) in enumerate(KEYS[: len(shares)]):
                shares[index] = imgui.IsKeyDown(up) - imgui.IsKeyDown(down)
        self._playback.steer(shares)

    def _episodes(self) -> None:
        playback = self._playback
        choices = playback.env.task.choices
        if not (choices or playback.can_randomize):
            return
        if not imgui.CollapsingHeader("Next episodes", OPEN):
            return
        for choice in choices:
            words = [DRAWN, *choice.options]
            chosen = 0 if choice.chosen is None else choice.chosen + 1
            imgui.SetNextItemWidth(110)
            if imgui.BeginCombo(choice.name, words[chosen]):
                for number, word in enumerate(words):
                    if imgui.Selectable(f"{word}##{choice.name} {number}", number == chosen):
                        choice.chosen = number - 1 if number else None
                imgui.EndCombo()
            imgui.SetItemTooltip("of the episodes that begin from now on, in all rows")
        if playback.can_randomize:
            changed, on = imgui.Checkbox("randomised physics", playback.randomized)
            imgui.SetItemTooltip("as --randomize; begins the first episodes again")
            if changed:
                self._try(lambda: playback.randomize(on))

    def _pushes(self) -> None:
        if not self._playback.has_base or not imgui.CollapsingHeader("Push", OPEN):
            return
        for name, forward, left in (
            ("forward", 1, 0),
            ("back", -1, 0),
            ("left", 0, 1),
            ("right", 0, -1),
        ):
            if imgui.Button(name):
                self._playback.push(forward * self._push, left * self._push)
            imgui.SameLine()
        imgui.NewLine()
        _, self._push = imgui.SliderFloat("by", self._push, 0.1, 3.0, format="%.1f m/s")

    def _rewards(self) -> None:
        if not imgui.CollapsingHeader("Rewards of the last second, per step", OPEN):
            return
        rewards = self._playback.mean_rewards()
        scale = max((abs(value) for value in rewards.values()), default=0.0) or 1.0
        for name, value in {"reward": sum(rewards.values()), **rewards}.items():
            _bar(value / scale)
            imgui.SameLine()
            imgui.Text(f"{value:+.3f} {name}")

    def _metrics(self) -> None:
        if not imgui.CollapsingHeader(f"Metrics of the last {HISTORY:g} s", OPEN):
            return
        playback, end = self._playback, self._playback.time
        flags = int(implot.Flags.CanvasOnly) | int(implot.Flags.NoInputs)
        for name, metric in playback.env.task.metrics.items():
            unit = "" if metric.unit == "1" else f" ({metric.unit})"
            last = f": {playback.history[-1].metrics[name]:.3g}" if playback.history else ""
            imgui.Text(f"{name}{unit}{last}")
            if implot.BeginPlot(f"##{name}", imgui.Vec2(-1, 70), flags):
                none, fit = int(implot.AxisFlags.NoDecorations), int(implot.AxisFlags.AutoFit)
                implot.SetupAxes("", "", none, fit)
                always = implot.Cond.Always
                implot.SetupAxisLimits(implot.Axis.X1, end - HISTORY, end, always)
                implot.PlotLine(name, *playback.curve(name))
                implot.EndPlot()


def _begin(title: str, x: float, height: float, place: int) -> bool:
    """Begins a window; returns whether it is unfolded.

    Args:
        title: Of the window.
        x: Its left side (pixels).
        height: Of the page (pixels).
        place: When it is put there, an `imgui.Cond`.
    """
    imgui.SetNextWindowPos(imgui.Vec2(x, 10), place)
    imgui.SetNextWindowSize(imgui.Vec2(WIDTH, max(height - 20, 100)), place)
    unfolded, _ = imgui.Begin(title, flags=int(imgui.WindowFlags.NoSavedSettings))
    return unfolded


def _bar(share: float) -> None:
    """A bar to the right of a middle line, or, below 0, to the left; a share is from -1 to 1."""
    corner, height = imgui.GetCursorScreenPos(), imgui.GetTextLineHeight()
    middle = corner.x + BAR_WIDTH / 2
    end = middle + min(max(share, -1.0), 1.0) * BAR_WIDTH / 2
    colour = imgui.ColorConvertFloat4ToU32(imgui.Vec4(*BARS[share < 0]))
    low, high = sorted((middle, end))
    draw = imgui.GetWindowDrawList()
    draw.AddRectFilled(imgui.Vec2(low, corner.y + 2), imgui.Vec2(high, corner.y + height), colour)
    imgui.Dummy(imgui.Vec2(BAR_WIDTH, height))
