# SPDX-License-Identifier: Apache-2.0
"""README and docs are true: their programs run, their tables are current, their links exist.

The programs of docs/clients.md need other libraries and have tests of their own (tests/clients).
"""

import importlib
import re
import shlex
from pathlib import Path

import gymnasium
import pytest
import yaml

import motrix_gym
from motrix_gym import MotrixVectorEnv, check_vector_env, registration
from rl_zoo import arguments, config
from rl_zoo.__main__ import main as motrix
from rl_zoo.task_settings import training_settings

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


def test_commands_are_understood(monkeypatch):
    """Flags, environments and settings of each command in a block exist; nothing is run."""

    class Parsed(BaseException):
        pass

    def parse(self, args=None, namespace=None):
        raise Parsed(parse_args(self, args, namespace))

    parse_args = arguments._Parser.parse_args
    monkeypatch.setattr(arguments._Parser, "parse_args", parse)
    found = 0
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] != ["motrix"] or len(words) < 2:
                    continue
                with pytest.raises(Parsed) as parsed:
                    motrix(words[1:])
                (given,), found = parsed.value.args, found + 1
                env = getattr(given, "env", None)
                ids = env if isinstance(env, list) else [env]
                known = [env_id for env_id in ids if env_id and env_id.startswith("Motrix/")]
                for env_id in filter(re.compile(r"\w+/[\w-]+").fullmatch, known):
                    texts = [text for text in getattr(given, "set", None) or () if "$" not in text]
                    algo = getattr(given, "algo", None) or "ppo"
                    _, task = arguments.split_settings(texts, algo, env_id)
                    registration.entry(env_id).config.override(**task)
    assert found > 40


def test_settings_in_blocks_are_allowed(tmp_path):
    """Those of trainings, and of the task in them."""
    env_id, found = "Motrix/Go1Rough-v0", 0
    for page in PAGES:
        for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
            (tmp_path / "block.yaml").write_text(block)
            loaded = config.load(env_id, hyperparams=tmp_path / "block.yaml")
            training_settings(env_id, {}, loaded.last_stage)
            found += 1
    assert found >= 2


@pytest.fixture(scope="module")
def site():
    """The module that makes the site of the documentation."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs/make_site"))
        return importlib.import_module("make_site")


def test_links_lead_to_pages_files_and_headings(site):
    """Those of all pages, of the generated ones too."""
    texts = site.sources()
    texts |= {name: (ROOT / name).read_text() for name in ("README.md", "CHANGELOG.md")}
    pictures = re.compile(r"\.(png|jpg|mp4|css|js)$")
    wrong, anchors = [], {}
    for source, text in texts.items():
        for target in site.links.targets(text):
            path, anchor = site.links.resolved(target, source)
            if path not in texts and not (ROOT / path).exists():
                wrong.append(f"{source}: {target}")
            if anchor and not pictures.search(path):
                anchors.setdefault(path, site.links.anchors(texts[path]))
                if anchor not in anchors[path]:
                    wrong.append(f"{source}: {target}")
    assert not wrong
    assert sum(map(len, anchors.values())) > 30

    # Every environment has its page, and every page its place on the site.
    for env_id in motrix_gym.list_envs():
        if env_id.startswith("Motrix/"):
            page = texts[f"docs/environments/{env_id.removeprefix('Motrix/')}.md"]
            for channel in motrix_gym.make_task(env_id).observation:
                assert f"`{channel.name}`" in page
    settings = yaml.safe_load((ROOT / "docs/make_site/site.yml").read_text())
    places = [site.place(source) for source in texts if source.startswith("docs/")]
    listed = site.leaves(site.filled(settings["nav"], places))
    assert sorted(listed) == sorted({*listed}) and {*listed} <= {*places}
    own = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert own <= {*listed}


def test_links_are_found_outside_of_code(site):
    text = (
        "[a](b.md#c) `[d](e)`\n```\n[f](g)\n```\n[h](https://i) ![j](k.png)\n# A `b`: c_d, 1!\n## A"
    )
    assert list(site.links.targets(text)) == ["b.md#c", "k.png"]
    assert site.links.anchors(text + "\n## A\n") == {"a-b-c_d-1", "a", "a-1"}
    assert site.links.resolved("../x.md#y", "docs/z.md") == ("x.md", "y")
    page = "[a](../../README.md) **Motrix/Go1-v0** [![b](b.jpg)](b.mp4)"
    texts = {"README.md": "", "docs/environments/Go1-v0.md": ""}
    ready = site.prepared(page, "docs/results/p.md", texts)
    assert "[a](../files/README.md) **[Motrix/Go1-v0](../environments/Go1-v0.md)**" in ready
    assert '<video src="b.mp4" poster="b.jpg"' in ready


def test_the_gallery_is_small_and_has_every_environment():
    folder, names = ROOT / "docs/gallery", set()
    page = (folder.parent / "gallery.md").read_text()
    for path in folder.iterdir():
        assert f"(gallery/{path.name})" in page, "run `python docs/make_gallery.py --page`"
        names.add(path.stem)
    sizes = {name: sum(p.stat().st_size for p in folder.glob(f"{name}.*")) for name in names}
    assert max(sizes.values()) <= 150_000 and sum(sizes.values()) <= 3_000_000
    ours = [env_id for env_id in motrix_gym.list_envs() if env_id.startswith("Motrix/")]
    assert names == {env_id.removeprefix("Motrix/") for env_id in ours}
