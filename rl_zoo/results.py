# SPDX-License-Identifier: Apache-2.0
"""`python -m rl_zoo.results` runs the command `motrix results`."""

if __name__ == "__main__":
    from rl_zoo.__main__ import run_module

    run_module("results")
