# SPDX-License-Identifier: Apache-2.0
"""Runs tests as on older processors, for which the libraries have other code: `make test-portable`.

Sums in another order and fused products round otherwise, so a training ends with other weights. A
level sets the variables by which XLA, Torch, oneDNN, MKL, NumPy, OpenBLAS and glibc's mathematics
are told to use no wider instructions; "native" sets none. NumPy and Torch report that they comply
(tests/test_portable.py). XLA is only known to accept its flag, and the others say nothing. On a
processor that lacks the instructions a level changes nothing.

    python -m tests.portable [PYTEST'S ARGUMENTS]
"""

import os
import subprocess
import sys

import numpy as np

# The features that NumPy has code for and that it finds here; to disable others is an error.
_found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])  # pyright: ignore
_above_avx2 = [name for name in _found if name.startswith(("AVX512", "X86_V4"))]

LEVELS = {
    "native": {},
    "AVX2": {
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": ",".join(_above_avx2),
        "OPENBLAS_CORETYPE": "Haswell",
    },
    "SSE4.2": {
        "XLA_FLAGS": "--xla_cpu_max_isa=SSE4_2",
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
        "NPY_DISABLE_CPU_FEATURES": ",".join(_found),
        "OPENBLAS_CORETYPE": "Nehalem",
        "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA",
    },
}


def main() -> int:
    """Runs pytest at every level; returns 1 if any test failed at any of them."""
    failed = []
    for level, caps in LEVELS.items():
        print(f"instruction sets: {level}", flush=True)
        command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
        if subprocess.run(command, env=os.environ | caps).returncode:
            failed.append(level)
    print(f"failed: {', '.join(failed)}" if failed else f"passed: {', '.join(LEVELS)}")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
