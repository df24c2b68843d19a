# SPDX-License-Identifier: Apache-2.0
"""What the packages import and use, and that importing them works everywhere."""

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

import motrix_gym

ROOT = Path(motrix_gym.__file__).parents[1]
PACKAGES = [name for name in ("motrix_gym", "adapters", "rl_zoo") if (ROOT / name).is_dir()]
SOURCES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LEARNING = ("torch", "jax", "flax", "skrl", "stable_baselines3", "sb3_contrib", "tensorboard")


def names(paths):
    return [path.relative_to(ROOT).as_posix() for path in paths]


def imported(path):
    """Return the top-level names of the modules that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_no_global_random_numbers(path):
    """Types and explicit generators are fine, np.random.seed() and its kind are not."""
    text = path.read_text()
    allowed = "Generator|default_rng|SeedSequence|BitGenerator|Philox|PCG64|MT19937"
    if path == ROOT / "adapters" / "torch_trainer.py":
        allowed += "|get_state|seed|set_state"  # for what libraries draw, and put back after that
    assert not re.findall(rf"\b(?:np|numpy)\.random\.(?!{allowed})\w+", text)
    assert not re.findall(r"from numpy(?:\.random)? import .*\brandom\b", text)
    tree = ast.parse(text)
    plain = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    assert "random" not in [alias.name for node in plain for alias in node.names]


@pytest.mark.parametrize("path", SOURCES, ids=names(SOURCES))
def test_nothing_is_evaluated_or_unpickled(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("eval", "exec")
    found = {"pickle", "dill", "cloudpickle", "joblib"} & set(imported(path))
    # One module reads foreign pickles, by unpicklers of its own that run nothing.
    assert found <= ({"pickle"} if path == ROOT / "adapters" / "unpickling.py" else set())
    assert not re.search(r"pickle\.loads?\b", _code(path))


SUITE = sorted((ROOT / "motrix_gym").rglob("*.py"))


@pytest.mark.parametrize("path", SUITE, ids=names(SUITE))
def test_the_suite_imports_no_more_than_it_installs(path):
    allowed = {
        "gymnasium",
        "mujoco",
        "numpy",
        "safetensors",
        "motrix_gym",
    } | sys.stdlib_module_names
    assert set(imported(path)) <= allowed
    if path.name != "simulation.py":  # the one module that touches the batch
        assert not re.search(r"mujoco\.batch|from mujoco import .*batch", _code(path))


def _code(path):
    """Return a file's code without docstrings and comments."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return ast.unparse(tree)


def test_adapters_know_no_commands():
    for path in SOURCES:
        if path.is_relative_to(ROOT / "adapters"):
            assert "rl_zoo" not in set(imported(path)), path


def test_importing_the_environments_imports_no_learning_library(python):
    printed = python(f"import motrix_gym, sys; print(sorted({{*{LEARNING!r}}} & {{*sys.modules}}))")
    assert printed == "[]\n"


@pytest.mark.parametrize("backend", ["disabled", "glfw", "egl", "osmesa", None])
def test_importing_never_needs_opengl(python, backend):
    assert python(WITHOUT_OPENGL + STEP, MUJOCO_GL=backend, DISPLAY=None) == "stepped\n"


@pytest.mark.parametrize("backend", ["disabled", "egl", "osmesa", "foo", None])
def test_missing_opengl_gives_one_clear_message(python, backend):
    printed = python(WITHOUT_OPENGL + STEP + RENDER, MUJOCO_GL=backend, DISPLAY=None)
    assert "RenderingError: cannot create an OpenGL context" in printed
    assert "libegl1" in printed
    assert "MUJOCO_GL=egl" in printed
    assert f"with MUJOCO_GL={backend or 'unset'}" in printed


# Hides the OpenGL libraries from ctypes, through which MuJoCo's back ends find them.
WITHOUT_OPENGL = """
import ctypes, ctypes.util, warnings
warnings.simplefilter("ignore")
HIDDEN = ("EGL", "GL", "OSMesa", "OpenGL")
find = ctypes.util.find_library
ctypes.util.find_library = lambda name: None if name in HIDDEN else find(name)
class Hiding(ctypes.CDLL):
    def __init__(self, name, *args, **kwargs):
        if any(f"lib{hidden}" in str(name) for hidden in HIDDEN) or name in HIDDEN:
            raise OSError(f"{name} is hidden")
        super().__init__(name, *args, **kwargs)
ctypes.CDLL = ctypes.cdll._dlltype = Hiding
"""

STEP = """
import gymnasium, numpy, motrix_gym
env = gymnasium.make_vec("Motrix/CartPole-v0", render_mode="rgb_array", render_size=(16, 16))
env.reset(seed=0)
env.step(numpy.zeros((1, 1), numpy.float32))
print("stepped")
"""

RENDER = """
try:
    env.render()
except RuntimeError as error:
    print(f"{type(error).__name__}: {error}")
"""


def test_a_missing_back_end_that_was_asked_for_is_named(python):
    check = """
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    import motrix_gym
print([str(w.message) for w in caught if "MUJOCO_GL" in str(w.message)])
"""
    printed = python(WITHOUT_OPENGL + check, MUJOCO_GL="egl")
    assert "MUJOCO_GL=egl, but libEGL is not installed: rendering is off" in printed
    printed = python(WITHOUT_OPENGL + check, MUJOCO_GL="foo")
    assert "MUJOCO_GL=foo, and the back ends are egl, glfw and osmesa: rendering" in printed


def test_egl_is_chosen_where_there_is_no_display(python, opengl):
    show = "import os, motrix_gym; print(os.environ.get('MUJOCO_GL'))"
    if sys.platform == "linux" and importlib.import_module("ctypes.util").find_library("EGL"):
        assert python(show, MUJOCO_GL=None, DISPLAY=None, WAYLAND_DISPLAY=None) == "egl\n"
    assert python(show, MUJOCO_GL="glfw") == "glfw\n"
