# SPDX-License-Identifier: Apache-2.0
"""Search for settings: trials with drawn settings, by Optuna."""

OBJECTIVES = ("return", "success", "steps", "seconds")
PRUNERS = ("median", "hyperband", "none")
