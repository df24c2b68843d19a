# SPDX-License-Identifier: Apache-2.0
"""The wheel and the sdist are complete, and an installed wheel works without the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("motrix_gym", "adapters", "rl_zoo", "hyperparams")
SHIPPED = {".py", ".typed", ".xml", ".png", ".yaml", ".safetensors", ".json"}

pytest.importorskip("build")


def shipped_files():
    """Return the paths, relative to the root, of all files that an installation needs."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in SHIPPED and "__pycache__" not in path.parts
    }


def run(*command, **kwargs):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    result = subprocess.run(command, text=True, **pipes | kwargs)
    assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Build from a copy, since setuptools leaves its traces beside what it builds."""
    source = tmp_path_factory.mktemp("source")
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, source / package, ignore=ignore)
    for folder in ("typings", "tests/packaging", "examples"):
        shutil.copytree(ROOT / folder, source / folder)
    names = "pyproject.toml MANIFEST.in README.md LICENSE Makefile constraints.txt"
    for name in names.split():
        shutil.copy(ROOT / name, source)
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)]
    # What this variable does, setuptools warns of.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    said = run(*build, env=env, stderr=subprocess.STDOUT)
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    return wheel, sdist, said


@pytest.fixture(scope="module")
def installed(archives, tmp_path_factory):
    """Return a folder that holds the installed wheel and nothing else."""
    target = tmp_path_factory.mktemp("installed")
    wheel, *_ = archives
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run(*pip, "--no-deps", "--no-index", "--target", str(target), str(wheel))
    return target


def run_installed(target, folder, code):
    """Run code with the installed wheel in front of any checkout, in a folder of its own."""
    env = {**os.environ, "PYTHONPATH": str(target)}
    return run(sys.executable, "-P", "-c", code, cwd=folder, env=env)


def test_building_warns_of_nothing(archives):
    assert not [line for line in archives[2].splitlines() if "warning" in line.lower()]


def test_wheel_carries_exactly_the_packages(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        names = set(wheel.namelist())
    files = {name for name in names if ".dist-info/" not in name}
    assert files == shipped_files()
    assert {"motrix_gym/tasks/locomotion/go1.xml", "hyperparams/Go1-v0.yaml"} <= files
    assert any(name.endswith("LICENSE") for name in names - files)


def test_sdist_carries_the_packages_and_what_tests_them(archives):
    with tarfile.open(archives[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert shipped_files() <= names
    assert {"LICENSE", "README.md", "Makefile", "constraints.txt", "pyproject.toml"} <= names
    assert {"tests/packaging/test_wheel.py", "examples/deploy_go1.py"} <= names


def test_metadata_says_what_is_needed(archives):
    with zipfile.ZipFile(archives[0]) as wheel:
        (metadata,) = (n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        (entries,) = (n for n in wheel.namelist() if n.endswith("entry_points.txt"))
        lines = wheel.read(metadata).decode().splitlines()
        scripts = wheel.read(entries).decode()
    always = {
        line.removeprefix("Requires-Dist: ")
        for line in lines
        if line.startswith("Requires-Dist: ") and "extra ==" not in line
    }
    assert always == {"gymnasium>=1.4", "mujoco<5,>=4.0", "numpy>=2.0", "safetensors>=0.5"}
    extras = {line.split(": ")[1] for line in lines if line.startswith("Provides-Extra: ")}
    assert extras == {
        *("skrl-torch", "skrl-jax", "sb3", "rsl-rl", "zoo", "export", "tune", "video", "dev"),
        *("clients", "docs", "hub", "wandb", "mlflow", "all"),
    }
    assert "Requires-Python: >=3.11" in lines
    assert "License-Expression: Apache-2.0" in lines
    assert "motrix = rl_zoo.__main__:main" in scripts


def test_installed_wheel_makes_and_steps_environments(installed, tmp_path):
    code = """
import sys
import gymnasium
import motrix_gym
print(motrix_gym.__file__)
for env_id in ("Motrix/CartPole-v0", "Motrix/Go1-v0"):
    env = gymnasium.make_vec(env_id, num_envs=3)
    env.reset(seed=1)
    observation = env.step(env.action_space.sample())[0]
    assert observation.shape == env.observation_space.shape, env_id
    env.close()
heavy = {"torch", "jax", "skrl", "stable_baselines3", "yaml", "adapters", "rl_zoo"}
assert not heavy & set(sys.modules), sorted(heavy & set(sys.modules))
"""
    location = run_installed(installed, tmp_path, code).splitlines()[0]
    assert Path(location).is_relative_to(installed)


def test_installed_wheel_finds_its_settings(installed, tmp_path):
    code = """
import rl_zoo.config
print(rl_zoo.config.__file__)
for env_id in ("Motrix/CartPole-v0", "Motrix/Go1-v0"):
    for trainer in ("skrl-jax", "skrl-torch", "sb3"):
        assert rl_zoo.config.load(env_id, algo="ppo", trainer=trainer).num_envs > 0
"""
    location = run_installed(installed, tmp_path, code).splitlines()[0]
    assert Path(location).is_relative_to(installed)


def test_installed_command_lists_the_environments(installed, tmp_path):
    code = """
import sys
from rl_zoo.__main__ import main
sys.argv = ["motrix", "envs"]
sys.exit(main())
"""
    listing = run_installed(installed, tmp_path, code)
    assert "Motrix/CartPole-v0" in listing
    assert "Motrix/Go1-v0" in listing
    assert (installed / "bin" / "motrix").exists() or (installed / "Scripts").exists()
