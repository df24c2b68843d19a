# SPDX-License-Identifier: Apache-2.0
"""The libraries' own agents and training loops as trainers, to compare ours with."""
