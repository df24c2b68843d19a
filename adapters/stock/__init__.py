# SPDX-License-Identifier: Apache-2.0
"""The libraries' own loops as trainers: what their users write by hand, to compare ours with."""
