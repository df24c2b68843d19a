# SPDX-License-Identifier: Apache-2.0
"""The checker for vector environments that Gymnasium lacks."""


def check_vector_env(env) -> None:
    raise NotImplementedError
