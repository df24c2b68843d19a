# SPDX-License-Identifier: Apache-2.0
"""`python -m rl_zoo.tune` runs the command `motrix tune`."""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("tune")
