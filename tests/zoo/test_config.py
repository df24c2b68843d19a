# SPDX-License-Identifier: Apache-2.0
"""Settings files: which value wins, `extends`, and errors with file and line."""

from pathlib import Path
from typing import Any

import gymnasium
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import motrix_gym
from adapters import ALGORITHMS, TRAINERS, PPOConfig, TD3Config, TQCConfig, trainers_with
from motrix_gym import registration
from rl_zoo import config as zoo

ENV = "Motrix/CartPole-v0"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "settings.yaml"
        path.write_text(text)
        return path

    return write


def test_every_shipped_file_loads_for_every_trainer_and_has_an_environment():
    names = {zoo.env_name(env_id): env_id for env_id in motrix_gym.list_envs()}
    folder = Path(__file__).parents[2] / "hyperparams"
    for path in folder.glob("*.yaml"):
        for trainer in TRAINERS:
            config = zoo.load(names[path.stem], "ppo", trainer)
            assert config.updates >= 1
            assert 10 * config.check_point_interval <= config.vector_steps


def test_trainer_wins_over_universal_wins_over_default_whatever_the_order(write):
    universal = "  learning_rate: 2e-4\n  rollouts: 16\n"
    backends = "  backends:\n    sb3: {learning_rate: 3e-4}\n    skrl-jax: {num_envs: 512}\n"
    for text in (universal + backends, backends + universal):
        path = write("ppo:\n" + text)
        sb3 = zoo.load(ENV, trainer="sb3", hyperparams=path)
        jax = zoo.load(ENV, trainer="skrl-jax", hyperparams=path)
        assert (sb3.learning_rate, sb3.rollouts, sb3.num_envs) == (3e-4, 16, 2048)
        assert (jax.learning_rate, jax.rollouts, jax.num_envs) == (2e-4, 16, 512)
        assert (
            zoo.load(ENV, trainer="sb3", hyperparams=path, learning_rate=1e-5).learning_rate == 1e-5
        )
        assert sb3.learning_epochs == PPOConfig().learning_epochs


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.none() | st.integers(0, 2**32 - 1),
    rate=st.floats(1e-12, 1e-3),
    scale=st.floats(1e-30, 1e30),
    sizes=st.lists(st.integers(1, 1024), min_size=1, max_size=4),
    threshold=st.none() | st.floats(0, 1),
    flag=st.booleans(),
    activation=st.sampled_from(["elu", "relu", "tanh"]),
    spread=st.none() | st.floats(-20, 2),
    training_env=st.none()
    | st.just({"max_episode_steps": 5, "reward_weights": {"alive": 1e4}, "a.b": [1.0, 2.0]}),
    policy=st.sampled_from([None, "CartPole-v0", "1e4", "no"]) | st.text(min_size=1),
)
def test_a_dumped_configuration_loads_equal(tmp_path, seed, rate, scale, sizes, threshold, **rest):
    config = PPOConfig(
        seed=seed,
        learning_rate=rate,
        rewards_shaper_scale=scale,
        policy_hidden_layer_sizes=tuple(sizes),
        desired_kl=threshold,
        normalize_values=rest["flag"],
        activation=rest["activation"],
        initial_policy=rest["policy"],
        final_log_std=rest["spread"],
        training_env=rest["training_env"],
    )
    path = tmp_path / "config.yaml"
    path.write_text(zoo.dump(config))
    for trainer in TRAINERS:
        assert zoo.load(ENV, "ppo", trainer, hyperparams=path) == config


@pytest.mark.parametrize(
    "text", ["1e-4", "1E-4", "1.e-4", "1.0e-4", ".1e-3", "0.0001", "+1e-4", "10_0e-6", "1_0.0e-5"]
)
def test_floats_are_read_in_every_spelling(write, text):
    assert zoo.load(ENV, hyperparams=write(f"ppo: {{learning_rate: {text}}}")).learning_rate == 1e-4
    assert zoo.parse_set(f"learning_rate={text}") == ("learning_rate", 1e-4)


@pytest.mark.parametrize("text", ["15_000_000", "15000000", "1.5e7", "15e6"])
def test_integers_are_read_in_every_spelling(write, text):
    config = zoo.load(ENV, hyperparams=write(f"ppo: {{max_env_steps: {text}}}"))
    assert config.max_env_steps == 15_000_000
    assert type(config.max_env_steps) is int


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("ppo:\n  lerning_rate: 1e-4", 2, "did you mean 'learning_rate'"),
        (
            "ppo:\n\n  learning_rate: fast",
            3,
            "learning_rate must be a finite number, > 0, got 'fast'",
        ),
        ("ppo:\n  rollouts: 24\n  mini_batches: 7", 3, "mini_batches=7 does not divide"),
        ("ppo:\n  rollouts: 4\n  rollouts: 8", 3, "'rollouts' is given twice, first in line 2"),
        ("ppo:\n  max_env_steps: 10", 2, "max_env_steps=10 is too small a budget"),
        ("# comment\nppo:\n  num_envs: 1\n  rollouts: 1", 2, "mini_batches=32 does not divide"),
        ("ppo:\n  backends:\n    sb4: {}", 3, "no trainer 'sb4' (did you mean 'sb3'?)"),
        ("ppo:\n  backends:\n    sb3:\n      rolouts: 3", 4, "did you mean 'rollouts'"),
        (
            "ppo:\n  backends:\n    skrl-jax:\n      rollouts: -3",
            4,
            "rollouts must be a whole",
        ),
        ("ppo:\n  backends:\n    sb3: {backends: {}}", 3, "no setting 'backends'"),
        ("ppo:\n  backends:\n    sb3:", 3, "sb3 must hold 'name: value' pairs"),
        ("learning_rate: 1e-4", 1, "; settings go under an algorithm, such as `ppo:`"),
        ("ppo:\n  rollouts: 4\nppoo: {}", 3, "no algorithm 'ppoo' (did you mean 'ppo'?)"),
        ("ppo: 3", 1, "ppo must hold 'name: value' pairs"),
        ("", 1, "the file must hold"),
        ("- ppo", 1, "the file must hold"),
        ("[" * 5000, 1, "not a YAML file"),
        ("ppo: {1: 2}", 1, "a name must be text"),
        ("ppo: {[1]: 2}", 1, "a name must be text"),
        ("ppo:\n  rollouts: [1", 2, "expected ',' or ']'"),
        ("ppo:\n  seed: 2026-13-01", 2, "'2026-13-01' cannot be read as !!timestamp"),
        ("ppo: &a\n  seed: 3\n  <<: *a", 3, "merge"),
        ("ppo: &a\n  backends: *a", 1, "recursive"),
        ("ppo:\n  seed: !!python/object/apply:os.mkdir [made]", 2, "os.mkdir"),
    ],
)
def test_errors_say_file_line_and_what_is_allowed(write, monkeypatch, text, line, message):
    path = write(text)
    monkeypatch.chdir(path.parent)
    with pytest.raises(zoo.ConfigError) as e:
        zoo.load(ENV, trainer="skrl-jax", hyperparams=path)
    assert str(e.value).startswith(f"{path}:{line}: ")
    assert message in str(e.value)
    assert not (path.parent / "made").exists()


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_loads_or_gives_a_config_error(tmp_path, content):
    path = tmp_path / "any.yaml"
    path.write_bytes(b"ppo:\n  seed: " + content)
    try:
        assert isinstance(zoo.load(ENV, hyperparams=path), PPOConfig)
    except zoo.ConfigError as error:
        assert str(path) in str(error)


def test_errors_of_overrides_do_not_blame_the_file(write):
    path = write("ppo:\n  rollouts: 16\n")
    overrides: list[dict[str, Any]] = [{"rollouts": -1}, {"rolouts": 3}]
    for override in overrides:
        with pytest.raises(zoo.ConfigError) as e:
            zoo.load(ENV, hyperparams=path, **override)
        assert str(path) not in str(e.value)


def test_each_algorithm_has_a_block_of_its_own(write):
    text = "ppo: {rollouts: 8}\ntqc:\n  tau: 0.01\n  backends: {sb3: {num_envs: 32}}\n"
    path = write(text + "sac: {rolouts: 3}\n")  # of a block that is not asked for, nothing is read
    assert zoo.load(ENV, hyperparams=path) == PPOConfig(rollouts=8)
    assert zoo.load(ENV, "tqc", hyperparams=path) == TQCConfig(tau=0.01, num_envs=32)
    assert zoo.load(ENV, "td3", "sb3", hyperparams=path) == TD3Config()
    for text, line, message in [
        ("tqc:\n  taau: 0.1", 2, "no setting 'taau' (did you mean 'tau'?)"),
        ("tqc:\n  mini_batches: 4", 2, "no setting 'mini_batches'"),
        ("tqc:\n  tau: 2", 2, "tau must be a finite number, > 0, <= 1, got 2"),
        ("tqc:\n  backends:\n    skrl-jax: {}", 3, "no trainer 'skrl-jax'; allowed are: sb3"),
    ]:
        path = write(text)
        with pytest.raises(zoo.ConfigError) as e:
            zoo.load(ENV, "tqc", hyperparams=path)
        assert str(e.value).startswith(f"{path}:{line}: ") and message in str(e.value)
    with pytest.raises(zoo.ConfigError, match="'skrl-torch' has no algorithm 'tqc'.*these have: s"):
        zoo.load(ENV, "tqc", "skrl-torch")


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_a_dumped_configuration_of_any_algorithm_loads_equal(tmp_path, algo):
    config, trainer = ALGORITHMS[algo](seed=5), trainers_with(algo)[-1]
    (tmp_path / "config.yaml").write_text(zoo.dump(config, algo))
    assert zoo.load(ENV, algo, trainer, hyperparams=tmp_path / "config.yaml") == config


def test_set_knows_the_algorithms_settings():
    assert zoo.parse_set("tau=0.1", "tqc") == ("tau", 0.1)
    with pytest.raises(zoo.ConfigError, match="no setting 'tau'"):
        zoo.parse_set("tau=0.1")
    with pytest.raises(zoo.ConfigError, match="no algorithm 'tqcc' .did you mean 'tqc'"):
        zoo.parse_set("tau=0.1", "tqcc")


def test_unknown_algorithms_trainers_files_and_environments_are_refused(tmp_path):
    with pytest.raises(zoo.ConfigError, match="no algorithm 'pppo' .did you mean 'ppo'"):
        zoo.load(ENV, "pppo")
    with pytest.raises(zoo.ConfigError, match="no trainer 'skrl-jx' .did you mean 'skrl-jax'"):
        zoo.load(ENV, trainer="skrl-jx")
    with pytest.raises(zoo.ConfigError, match="nowhere.yaml cannot be read: No such file"):
        zoo.load(ENV, hyperparams=tmp_path / "nowhere.yaml")
    with pytest.raises(ValueError, match="did you mean 'Motrix/CartPole-v0'"):
        zoo.load("Motrix/CartPol-v0")


def test_a_registered_task_brings_its_own_file_or_has_the_defaults(write, monkeypatch):
    monkeypatch.setattr(registration, "_entries", dict(registration._entries))
    entry = registration.entry(ENV)
    path = write("ppo: {rollouts: 8}")
    for env_id, file in (("Test/Own-v0", path), ("Test/Bare-v0", None)):
        registration.register_task(env_id, entry.task, entry.config, hyperparams=file)
        try:
            assert zoo.find(env_id) == file
            assert zoo.load(env_id) == PPOConfig(rollouts=8 if file else 32)
        finally:
            del gymnasium.registry[env_id]


def test_set_reads_plain_yaml_values():
    assert zoo.parse_set("policy_hidden_layer_sizes=[64, 32]") == (
        "policy_hidden_layer_sizes",
        [64, 32],
    )
    assert zoo.parse_set("seed=null") == ("seed", None)
    assert zoo.parse_set("activation=tanh") == ("activation", "tanh")
    assert zoo.parse_set(" mixed_precision = true") == ("mixed_precision", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rate", "expected name=value"),
        ("lerning_rate=3", "did you mean 'learning_rate'"),
        ("seed=[1", "not YAML"),
        ("seed=!!python/object/apply:os.mkdir [made]", "not YAML"),
        ("seed=2026-13-01", "not YAML"),
    ],
)
def test_set_refuses_what_is_no_setting(tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(zoo.ConfigError, match=message):
        zoo.parse_set(text)
    assert not list(tmp_path.iterdir())


# Names that others give to settings.


def test_names_of_others_are_read_and_ours_are_written(write):
    text = "ppo:\n  learning_rate_scheduler_kl_threshold: 0.02\n  random_timesteps: 0\n"
    config = zoo.load(ENV, hyperparams=write(text + "  backends: {sb3: {kl_threshold: 0.1}}"))
    assert (config.desired_kl, config.early_stop_kl) == (0.02, 0)
    config = zoo.load(ENV, trainer="sb3", hyperparams=zoo.FOLDER / "Go1-v0.yaml", kl_threshold=0.1)
    assert config.early_stop_kl == 0.1
    assert "early_stop_kl: 0.1" in zoo.dump(config) and "threshold" not in zoo.dump(config)
    assert zoo.parse_set("kl_threshold=0.1") == ("kl_threshold", 0.1)


def test_the_trainers_value_wins_whatever_its_name(write):
    text = "ppo:\n  early_stop_kl: 0.2\n  backends: {sb3: {kl_threshold: 0.1}}"
    assert zoo.load(ENV, trainer="sb3", hyperparams=write(text)).early_stop_kl == 0.1
    text = "ppo:\n  kl_threshold: 0.2\n  backends: {sb3: {early_stop_kl: 0.1}}"
    assert zoo.load(ENV, trainer="sb3", hyperparams=write(text)).early_stop_kl == 0.1


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (
            "ppo:\n  kl_threshold: 0\n  early_stop_kl: 0",
            3,
            "kl_threshold and early_stop_kl are one",
        ),
        ("ppo:\n  desired_kl: 0\n  learning_rate_scheduler_kl_threshold: 0", 3, "are one setting"),
        ("ppo:\n  num_envs: 8\n  kl_threshold: -1", 3, "early_stop_kl must be a finite number"),
        ("ppo:\n  num_envs: 8\n  random_timesteps: 5", 3, "only 0 is: PPO is on-policy"),
        ("sac:\n  kl_threshold: 0\nppo: {kl_treshold: 1}", 3, "no setting 'kl_treshold'"),
    ],
)
def test_errors_in_names_of_others_have_their_line(write, text, line, message):
    path = write(text)
    with pytest.raises(zoo.ConfigError) as e:
        zoo.load(ENV, hyperparams=path)
    assert str(e.value).startswith(f"{path}:{line}: ") and message in str(e.value)


# Files that extend others.


def test_a_file_extends_a_shipped_one_or_a_path(tmp_path):
    base = "tqc: {tau: 0.01}\nppo:\n  rollouts: 16\n  learning_rate: 2e-4\n  training_env: {a: 1}\n"
    (tmp_path / "base.yml").write_text(base + "  backends: {sb3: {num_envs: 64, rollouts: 8}}")
    (tmp_path / "own.yaml").write_text(
        "ppo:\n  learning_rate: 1e-4\n  training_env: {b: 2}\n  backends: {sb3: {rollouts: 4}}\n"
        "extends: base.yml"
    )
    (tmp_path / "own2.yaml").write_text("extends: own.yaml\nppo: {mini_batches: 4}")

    def load(name, algo="ppo"):
        return zoo.load(ENV, algo, "sb3", hyperparams=tmp_path / name)

    expected = PPOConfig(num_envs=64, rollouts=4, learning_rate=1e-4, training_env={"b": 2})
    assert load("own.yaml") == expected
    assert load("own2.yaml") == expected.replace(mini_batches=4)
    assert load("own2.yaml", "tqc") == TQCConfig(tau=0.01)
    (tmp_path / "shipped.yaml").write_text("extends: Go1-v0\nppo: {num_envs: 64}")
    assert load("shipped.yaml") == zoo.load("Motrix/Go1-v0", "ppo", "sb3", num_envs=64)


def test_hoppers_differ_in_three_lines():
    hop, stand = (zoo.load(f"Motrix/Hopper{name}-v0").as_dict() for name in ("Hop", "Stand"))
    assert {name for name in hop if hop[name] != stand[name]} == {
        *("max_env_steps", "check_point_interval", "final_log_std"),
    }
    assert len((zoo.FOLDER / "HopperHop-v0.yaml").read_text().splitlines()) == 2 + 3


@pytest.mark.parametrize(
    ("files", "place", "message"),
    [
        ({"a": "ppo: {}\nextends: Go1-v1"}, "a.yaml:2", "no shipped file 'Go1-v1' (did you mean"),
        ({"a": "extends: b.yaml"}, "a.yaml:1", "there is no file "),
        ({"a": "extends: a.yaml"}, "a.yaml:1", "in a circle: a.yaml -> a.yaml"),
        (
            {"a": "extends: b.yaml", "b": "ppo: {}\nextends: ./c.yaml", "c": "extends: a.yaml"},
            "c.yaml:1",
            "in a circle: a.yaml -> b.yaml -> c.yaml -> a.yaml",
        ),
        ({"a": "extends: [b.yaml]"}, "a.yaml:1", "extends must name a file, not ['b.yaml']"),
        ({"a": "extends: b.yaml", "b": "ppo:\n  rolouts: 3"}, "b.yaml:2", "no setting 'rolouts'"),
        ({"a": "extends: b.yaml", "b": "ppo:\n  rollouts: x"}, "b.yaml:2", "rollouts must be a"),
        ({"a": "extends: b.yaml", "b": "["}, "b.yaml:1", "expected"),
        ({"a": "extends: b.yaml\nppo:\n  mini_batches: 7", "b": "ppo: {}"}, "a.yaml:3", "divide"),
    ],
)
def test_errors_of_extended_files_have_file_and_line(tmp_path, files, place, message):
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(zoo.ConfigError) as e:
        zoo.load(ENV, hyperparams=tmp_path / "a.yaml")
    assert str(e.value).startswith(f"{tmp_path / place}: ") and message in str(e.value)


# Settings given in Python.


@pytest.fixture
def register(monkeypatch):
    monkeypatch.setattr(registration, "_entries", dict(registration._entries))
    entry, ids = registration.entry(ENV), []

    def register(hyperparams, env_id="Test/Own-v0"):
        registration.register_task(env_id, entry.task, entry.config, hyperparams=hyperparams)
        ids.append(env_id)
        return env_id

    yield register
    for env_id in ids:
        del gymnasium.registry[env_id]


BLOCK: dict[str, Any] = {"rollouts": 8, "backends": {"sb3": {"num_envs": 64, "rollouts": 16}}}


@pytest.mark.parametrize(
    "hyperparams",
    [
        {"ppo": BLOCK},
        {"ppo": PPOConfig(rollouts=8).as_dict() | {"backends": BLOCK["backends"]}},
        {"ppo": {"rollouts": 8, "backends": {"sb3": PPOConfig(rollouts=16, num_envs=64)}}},
    ],
)
def test_a_registration_in_python_has_the_precedence_of_a_file(register, hyperparams):
    env_id = register(hyperparams)
    assert zoo.load(env_id, "ppo", "skrl-jax") == PPOConfig(rollouts=8)
    assert zoo.load(env_id, "ppo", "sb3") == PPOConfig(rollouts=16, num_envs=64)
    assert zoo.load(env_id, "ppo", "sb3", rollouts=4).rollouts == 4
    assert zoo.has_settings(env_id, "ppo") and not zoo.has_settings(env_id, "sac")


def test_a_config_object_alone_is_that_of_its_algorithm(register):
    env_id = register(TQCConfig(tau=0.01))
    assert zoo.load(env_id, "tqc") == TQCConfig(tau=0.01)
    assert zoo.load(env_id, "ppo") == PPOConfig()


def test_a_registration_in_python_extends_a_shipped_file(register):
    env_id = register({"extends": "Go1-v0", "ppo": {"num_envs": 64}})
    assert zoo.load(env_id) == zoo.load("Motrix/Go1-v0", num_envs=64)


def test_a_registration_does_not_change_with_what_it_was_made_of(register):
    block = {"rollouts": 8}
    env_id = register({"ppo": block})
    block["rollouts"] = 16
    assert zoo.load(env_id).rollouts == 8


@pytest.mark.parametrize(
    ("hyperparams", "message"),
    [
        ({"ppo": {"learning_rat": 1}}, "no setting 'learning_rat' .did you mean 'learning_rate'"),
        ({"ppoo": {}}, "no algorithm 'ppoo' .did you mean 'ppo'"),
        ({"ppo": {"rollouts": "x"}}, "rollouts must be a whole number"),
        ({"ppo": {"backends": {"sb4": {}}}}, "no trainer 'sb4' .did you mean 'sb3'"),
        ({"ppo": {"backends": {"sb3": {"rolouts": 1}}}}, "no setting 'rolouts'"),
        ({"ppo": 3}, "ppo must hold 'name: value' pairs, not 3"),
        ({"ppo": {3: 1}}, "a name must be text, not 3"),
        ({"ppo": TQCConfig()}, "'ppo' has settings of 'tqc'"),
        ({"extends": "Go2"}, "no shipped file 'Go2'"),
        ([PPOConfig()], "must be a file, a mapping or a config"),
    ],
)
def test_what_is_wrong_in_a_registration_is_named(register, hyperparams, message):
    env_id = register(hyperparams)
    with pytest.raises(zoo.ConfigError, match=f"^hyperparams of Test/Own-v0.*{message}"):
        zoo.load(env_id)


@pytest.mark.parametrize("algo", ["ppo", "sac"])
def test_settings_that_have_a_single_value_are_not_listed(write, algo):
    with pytest.raises(zoo.ConfigError) as error:
        zoo.load(ENV, algo, hyperparams=write(f"{algo}:\n  xyzzy: 1"))
    assert "allowed are: seed" in str(error.value)
    for name in ("random_timesteps", "time_limit_bootstrap"):
        assert name not in str(error.value)
    only = "ppo:\n  random_timesteps: 0"
    assert zoo.load(ENV, hyperparams=write(only)) == zoo.load(ENV, hyperparams=write("ppo: {}"))
