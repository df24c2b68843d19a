# SPDX-License-Identifier: Apache-2.0
"""README and docs are true: their programs run, their tables are current, their links exist.

The programs of docs/clients.md need other libraries and have tests of their own (tests/clients).
"""

import re
from pathlib import Path

import gymnasium
import pytest

from motrix_gym import MotrixVectorEnv, check_vector_env, registration
from rl_zoo.__main__ import main as motrix

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = {
    page.name: re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    for page in PAGES
    if page.name != "clients.md"
}
NEEDS = {
    "stable_baselines3": "stable_baselines3",
    "skrl": "skrl",
    "rl_zoo": "torch",
    "onnxruntime": "onnxruntime",
}


@pytest.mark.parametrize("page", [name for name, programs in PROGRAMS.items() if programs])
def test_programs_run(page, tmp_path, monkeypatch, request):
    """The programs of a page, one after the other; a later one may use what an earlier one made."""
    monkeypatch.chdir(tmp_path)  # where trainings leave their runs
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    # A module of its own name, as dataclasses need; "Mine/..." is registered by one of them.
    names = {"__name__": __name__}
    try:
        for program in PROGRAMS[page]:
            for word, module in NEEDS.items():
                if word in program:
                    pytest.importorskip(module)
            if "render_mode" in program:
                request.getfixturevalue("opengl")
            exec(compile(program, page, "exec"), names)
        if page == "tasks.md":
            for env in (
                gymnasium.make_vec("Mine/Pendulum-v0", num_envs=3),
                MotrixVectorEnv(names["Impatient"](names["PendulumConfig"]()), 3),
            ):
                check_vector_env(env)
                env.close()
    finally:
        if gymnasium.registry.pop("Mine/Pendulum-v0", None):
            registration._entries.pop("Mine/Pendulum-v0")


CALLS = [call for page in PAGES for call in re.findall(r"`(make_vec\(ID.*?\))`", page.read_text())]


@pytest.mark.parametrize("call", CALLS)
def test_calls_in_a_sentence_run(call):
    eval(call, {"make_vec": gymnasium.make_vec, "ID": "Motrix/Go1-v0"}).close()


def test_table_of_environments_is_current(capsys):
    assert motrix(["envs", "--markdown"]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed in README, "paste what `motrix envs --markdown` prints into the README"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_files_that_a_page_links_to_exist(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
