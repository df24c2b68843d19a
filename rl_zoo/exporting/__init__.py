# SPDX-License-Identifier: Apache-2.0
"""Policies for other programs: an ONNX file, C sources, and a contract that says what they mean."""

FORMATS = ("onnx", "c")
