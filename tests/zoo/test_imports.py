# SPDX-License-Identifier: Apache-2.0
"""Modules of the zoo need each other in one direction only."""

import ast
from pathlib import Path

import rl_zoo

ROOT = Path(rl_zoo.__file__).parent


def imported(path: Path, modules: set[str]) -> set[str]:
    """The zoo's modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & modules or {node.module}
    return found & modules


def test_there_is_no_circle_between_modules():
    paths = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts): path
        for path in ROOT.rglob("*.py")
        if path.name != "__init__.py"
    }
    needs = {name: imported(path, set(paths)) for name, path in paths.items()}
    assert needs["rl_zoo.runs"] >= {"rl_zoo.evaluation", "rl_zoo.manifests"}
    free: set[str] = set()
    while ready := {name for name in needs.keys() - free if needs[name] <= free}:
        free |= ready
    assert {name: needs[name] - free for name in needs.keys() - free} == {}
