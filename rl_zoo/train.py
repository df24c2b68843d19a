# SPDX-License-Identifier: Apache-2.0
"""`python -m rl_zoo.train` runs the command `motrix train`."""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("train")
# Imported, this module would take the place of the function `rl_zoo.train`.
raise ImportError("rl_zoo.train is a function; the command is the module rl_zoo.commands.train")
