# SPDX-License-Identifier: Apache-2.0
"""What the README shows is so: its programs run, its table is what `motrix envs` prints."""

import re
from pathlib import Path

import gymnasium
import pytest

from motrix_gym import check_vector_env, registration
from rl_zoo.__main__ import main as motrix

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
NEEDS = {"stable_baselines3": "stable_baselines3", "skrl": "skrl", "rl_zoo": "torch"}


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_programs_run(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where trainings leave their runs
    for word, module in NEEDS.items():
        if word in program:
            pytest.importorskip(module)
    try:
        # A module of its own name, as dataclasses need; "Mine/..." is registered by one of them.
        exec(compile(program, "README.md", "exec"), {"__name__": __name__})
        if "register_task" in program:
            env = gymnasium.make_vec("Mine/Pendulum-v0", num_envs=3)
            check_vector_env(env)
            env.close()
    finally:
        if gymnasium.registry.pop("Mine/Pendulum-v0", None):
            registration._entries.pop("Mine/Pendulum-v0")


def test_table_of_environments_is_current(capsys):
    assert motrix(["envs", "--markdown"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed in README, "paste what `motrix envs --markdown` prints into the README"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_files_that_a_page_links_to_exist(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", ["robots.md", "rendering.md"])
def test_programs_of_a_page_run(name, monkeypatch, opengl):
    monkeypatch.chdir(ROOT)
    for program in re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / name).read_text(), re.DOTALL
    ):
        exec(compile(program, name, "exec"), {"__name__": __name__})
