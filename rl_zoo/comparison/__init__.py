# SPDX-License-Identifier: Apache-2.0
"""What `motrix compare` is made of: finding or training runs, measuring, and telling."""
