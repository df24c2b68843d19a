# SPDX-License-Identifier: Apache-2.0
"""Watching a policy: in a window, in a browser, or as a video.

`playback` steps the environment and knows no viewer. `window`, `web` and `video` show it.
"""
