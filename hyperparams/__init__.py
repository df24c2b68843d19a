# SPDX-License-Identifier: Apache-2.0
"""Training settings, one YAML file per environment; `rl_zoo.config` reads them."""
