# SPDX-License-Identifier: Apache-2.0
"""A name that a docstring cites exists, so that renaming leaves no old name in a docstring.

A name is cited if it is in backticks, or listed under "Args:", "Attributes:" or "Raises:".

A name exists if the code defines it (module, class, function, attribute, constant), holds it as a
string (a key, a setting, a command's option), or takes it from a library. A parameter exists in the
docstrings of its function and class. Of ``A.b``, where A is a class of ours or a module with its
package before it, b must be a member of A. Local variables do not count.
"""

import ast
import builtins
import keyword
import re
from collections import defaultdict
from inspect import cleandoc
from pathlib import Path

import gymnasium
import mujoco
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("motrix_gym", "adapters", "rl_zoo")
FILES = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
LIBRARIES = (builtins, gymnasium, gymnasium.wrappers, mujoco, mujoco.MjModel, mujoco.MjData)
# What docstrings may cite beside what is in the code and in these libraries.
ALLOWED = {
    *("EvalCallback", "VecMonitor", "info_keywords"),  # Stable-Baselines3's
    *("extras",),  # rsl_rl's
    *("skrl.agents.torch.ppo.PPO", "agent_*.pt", "agent_*.pickle"),  # skrl's
    *("motrix", "python", "sha256sum"),  # programs
    *("mask", "obs", "_key", "to_base"),  # placeholders, and a function in formulas
}


@pytest.fixture(scope="module")
def code():
    return Code()


def test_names_that_docstrings_cite_exist(code):
    assert len(code.docstrings) > 500
    wrong = [
        f"{place}: there is no {name!r}, cited as {citation!r}"
        for place, text, known in code.docstrings
        for citation in citations(text)
        for name in code.unknown(citation, known)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("citation", "name"),
    [
        ("derived_upto_date", "derived_upto_date"),
        ("Task.settle", "settle"),
        ("motrix_gym.policy.Police", "Police"),
        ("Policy(weights, spreading=2)", "spreading"),
        ("value_at_1", "value_at_1"),  # a parameter, of another function
        ("--num-worlds", "--num-worlds"),
        ("docs/nothing.md", "docs/nothing.md"),
    ],
)
def test_a_name_that_does_not_exist_is_found(code, citation, name):
    assert code.unknown(citation, {"weights"}) == [name]


@pytest.mark.parametrize(
    "citation",
    ["Policy.log_std", "motrix_gym.policy.Policy", "ARSTrainer.update", "--num-envs", "act(obs)"],
)
def test_a_name_that_exists_is_not(code, citation):
    assert code.unknown(citation, set()) == []


def citations(text: str) -> list[str]:
    """What a text has in single or double backticks, or lists as argument, attribute or error."""
    quoted = [" ".join(found.split()) for _, found in re.findall(r"(`+)([^`]+)\1", text)]
    lists = re.findall(r"(?:Args|Attributes|Raises):\n(.*?)(?:\n\n|\Z)", cleandoc(text), re.DOTALL)
    listed = [
        name
        for entries in lists
        for names in re.findall(r"^    (\w+(?:, \w+)*):", entries, re.MULTILINE)
        for name in names.split(", ")
    ]
    return quoted + listed


class Code:
    """What the packages define.

    Attributes:
        names: all names that exist everywhere.
        strings: all strings in the code, docstrings apart.
        members: what each class and module has, by its name; a class also what its bases have.
        docstrings: each one's place, its text, and the parameters that it may cite.
    """

    def __init__(self):
        self.names = {*keyword.kwlist, *(name for library in LIBRARIES for name in dir(library))}
        self.strings: set[str] = set()
        self.members: dict[str, set[str]] = defaultdict(set)
        self.docstrings: list[tuple[str, str, set[str]]] = []
        bases: dict[str, list[str]] = {}
        for file in FILES:
            tree = ast.parse(file.read_text())
            path = file.relative_to(ROOT).with_suffix("").parts
            path = path[:-1] if path[-1] == "__init__" else path
            for folder, name in zip(path, path[1:], strict=False):
                self.members[folder].add(name)
            self.names |= {*path}
            self.members[path[-1]] |= members(tree)
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    self.members[node.name] |= members(node)
                    bases[node.name] = [ast.unparse(base).split("[")[0] for base in node.bases]
            docstrings = find_docstrings(tree, set())
            for constant, known in docstrings:
                place = f"{file.relative_to(ROOT)}:{constant.lineno}"
                self.docstrings.append((place, constant.value, known))
            self.read_names(tree, {id(constant) for constant, _ in docstrings})

        def inherited(name: str) -> set[str]:
            return self.members.get(name, set()).union(*map(inherited, bases.get(name, ())))

        self.members |= {name: inherited(name) for name in bases}
        self.names = self.names.union(*self.members.values())

    def read_names(self, tree: ast.Module, docstrings: set[int]) -> None:
        """Take up the strings of a module, and the names that it uses of objects and libraries."""
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(attr=name) | ast.keyword(arg=str(name)):
                    self.names.add(name)
                case ast.alias(name=name):
                    self.names |= {*name.split(".")}
                case ast.Constant(value=str(text)) if id(node) not in docstrings:
                    self.strings.add(text)

    def unknown(self, citation: str, known: set[str]) -> list[str]:
        """The names in a citation that do not exist; ``known`` are parameters that do."""
        if citation in self.strings | ALLOWED or (ROOT / citation).exists():
            return []
        if citation.startswith("docs/"):
            return [citation]
        everywhere = self.names | self.strings | ALLOWED | known
        found = []
        for chain in re.findall(r"-*[A-Za-z_][\w.-]*", re.sub(r'"[^"]*"', "", citation)):
            here = everywhere
            for name in chain.split("."):
                if len(name) > 1 and name not in here:
                    found.append(name)
                ours = name in PACKAGES or name[:1].isupper() or here is not everywhere
                here = self.members.get(name, everywhere) if ours else everywhere
        return found


def members(owner: ast.Module | ast.ClassDef) -> set[str]:
    """What the body of a class or a module defines, and what methods store as ``self.name``."""
    found = set()
    for part in owner.body:
        match part:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                found.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                found |= {(alias.asname or alias.name).split(".")[0] for alias in aliases}
            case ast.Assign(targets=[ast.Name(id="__all__")], value=ast.List(elts=names)):
                found |= {name.value for name in names}
            case ast.Assign() | ast.AnnAssign():
                names = [node for node in ast.walk(part) if isinstance(node, ast.Name)]
                found |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    if isinstance(owner, ast.ClassDef):
        attributes = [node for node in ast.walk(owner) if isinstance(node, ast.Attribute)]
        found |= {node.attr for node in attributes if isinstance(node.ctx, ast.Store)}
    return found


def find_docstrings(owner: ast.AST, known: set[str]) -> list[tuple[ast.Constant, set[str]]]:
    """The docstrings in a tree, those of attributes too, with the parameters they may cite."""
    if isinstance(owner, ast.ClassDef | ast.FunctionDef):
        inside = [node.arg for node in ast.walk(owner) if isinstance(node, ast.arg)]
        known = known | {*inside}
    found = []
    for part in ast.iter_child_nodes(owner):
        match part:
            case ast.Expr(value=ast.Constant(value=str()) as constant):
                found.append((constant, known))
            case _:
                found += find_docstrings(part, known)
    return found
