# SPDX-License-Identifier: Apache-2.0
"""One module per command of `motrix`, each with a `main`; heavy modules are imported inside."""
