# SPDX-License-Identifier: Apache-2.0
"""What surrounds the robot in the browser while it is trained: how far the training is."""

from mujoco.studio import messages, plugin
from mujoco.studio.dear_imgui import dear_imgui as imgui

from rl_zoo.viewing.panels import WIDTH
from rl_zoo.viewing.shared_row import TrainingRow

HEIGHT = 90  # of the window, in pixels


class TrainingPanel(plugin.ViewerPlugin):
    """Draws the window."""

    def __init__(self, shown: TrainingRow, title: str):
        """Shows a row; the title is the environment's id."""
        self._shown, self._title = shown, title

    @messages.handler
    def on_build_gui(self, event: messages.BuildGuiEvent) -> None:
        """Draws a frame."""
        shown, first = self._shown, int(imgui.Cond.FirstUseEver)
        imgui.SetNextWindowPos(imgui.Vec2(10, 10), first)
        imgui.SetNextWindowSize(imgui.Vec2(WIDTH, HEIGHT), first)
        flags = int(imgui.WindowFlags.NoSavedSettings)
        unfolded, _ = imgui.Begin(f"Training {self._title}", flags=flags)
        if unfolded:
            imgui.Text(f"{shown.steps:,} of {shown.total:,} steps")
            imgui.ProgressBar(shown.steps / shown.total)
        imgui.End()
