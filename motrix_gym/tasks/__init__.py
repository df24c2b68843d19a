# SPDX-License-Identifier: Apache-2.0
"""The suite's tasks, by family; each module has an MJCF file of its own name."""
