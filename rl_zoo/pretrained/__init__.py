# SPDX-License-Identifier: Apache-2.0
"""The policies that the package ships: a folder for each environment, with its evaluation."""
