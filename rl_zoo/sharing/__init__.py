# SPDX-License-Identifier: Apache-2.0
"""Policies, runs and environments on the Hugging Face Hub: what `motrix push` and `pull` do.

`files` says which files a repository has, and checks those that come from one; `card` writes its
model card; `lerobot` makes an environment for LeRobot's hub; `hub` alone talks to the Hub.
"""
