# SPDX-License-Identifier: Apache-2.0
"""The wheel and the sdist are complete, and the wheel works in an otherwise empty environment."""

import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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
    """Return the folder of an environment with the wheel and its extra `video`, and no more.

    What they depend on, and that depends on, is linked from here, so that nothing is fetched.
    """
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment, symlinks=True)
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin/python", "install"]
    run(*pip, "--quiet", "--no-deps", "--no-index", "--no-compile", archives[0])
    (site,) = environment.glob("lib/python*/site-packages")
    (wheel,) = metadata.distributions(path=[str(site)])
    waiting, linked = requirements(wheel, {"video"}), set()
    while waiting:
        requirement = waiting.pop()
        distribution = metadata.distribution(requirement.name)
        if (requirement.name, *requirement.extras) in linked:
            continue
        linked.add((requirement.name, *requirement.extras))
        waiting += requirements(distribution, requirement.extras)
        for name in {file.parts[0] for file in distribution.files or ()} - {"..", "__pycache__"}:
            if not (site / name).exists():
                (site / name).symlink_to(distribution.locate_file(name))
    return environment


def requirements(distribution, extras):
    """Return what a distribution needs, here and with these of its extras."""
    found = [Requirement(text) for text in distribution.requires or ()]
    asked = [{"extra": extra} for extra in (*extras, "")]
    return [r for r in found if r.marker is None or any(map(r.marker.evaluate, asked))]


def run_installed(environment, folder, *command):
    """Run a command of the environment in a folder of its own."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    return run(environment / "bin" / command[0], *command[1:], cwd=folder, env=ours)


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
    assert always == {
        *("filelock>=3.30", "gymnasium>=1.4", "mujoco<5,>=4.0", "numpy>=2.0", "pyyaml>=6"),
        *("safetensors>=0.5", "scipy>=1.15"),
    }
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
unneeded = {"yaml", "adapters", "rl_zoo"} & set(sys.modules)
assert not unneeded, unneeded
import rl_zoo.config
for env_id in ("Motrix/CartPole-v0", "Motrix/Go1-v0"):
    for trainer in ("skrl-jax", "skrl-torch", "sb3"):
        assert rl_zoo.config.load(env_id, algo="ppo", trainer=trainer).num_envs > 0
"""
    location = run_installed(installed, tmp_path, "python", "-c", code).splitlines()[0]
    assert Path(location).is_relative_to(installed)


def test_installed_commands_list_and_evaluate(installed, tmp_path):
    listing = run_installed(installed, tmp_path, "motrix", "envs")
    assert "Motrix/CartPole-v0" in listing and "Motrix/Go1-v0" in listing
    measured = run_installed(installed, tmp_path, "motrix", "evaluate", "--episodes", "8")
    assert "the pretrained policy" in measured and "goal return >= 990: met" in measured
    (site,) = installed.glob("lib/python*/site-packages")
    large = {"torch", "jax", "matplotlib", "tensorboard"}
    assert not large & {path.name for path in site.iterdir()}


def test_installed_command_makes_a_video(installed, tmp_path, opengl):
    short = ["--seconds", "0.5", "--width", "160", "--height", "120"]
    play = ["motrix", "play", "--env", "Motrix/Go1-v0", "--video"]
    assert "video: Go1-v0.mp4" in run_installed(installed, tmp_path, *play, *short)
    assert (tmp_path / "Go1-v0.mp4").stat().st_size > 1000
