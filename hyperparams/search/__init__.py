# SPDX-License-Identifier: Apache-2.0
"""Search spaces of `motrix tune`, one per algorithm."""
