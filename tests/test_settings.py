# SPDX-License-Identifier: Apache-2.0
"""Settings declare their allowed values, and other values are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from motrix_gym import TaskConfig, list_envs
from motrix_gym.commands import VelocityCommands
from motrix_gym.registration import entry
from motrix_gym.settings import choice, declared, interval, number, weights, whole


@dataclass(frozen=True, kw_only=True)
class Config(TaskConfig):
    speed: float = number(1.0, least=0)
    mass: float = number(1.0, above=0, most=9)
    share: float = number(0.5, above=0, below=1)
    count: int | None = whole(3, least=1)
    places: tuple[float, float] = interval(0.1, 0.2, above=0)
    terrain: str = choice("flat", "flat", "rough")
    reward_weights: Mapping[str, float] = weights(near=1.0, effort=-0.1)
    plain: float = 2.0
    highest: float = np.inf
    anything: tuple[str, ...] = ("a",)
    mapping: Mapping[str, float] = field(default_factory=dict)
    whole: int = 2
    on: bool = False
    title: str = "none"
    commands: VelocityCommands = VelocityCommands()
    others: VelocityCommands | None = field(default_factory=VelocityCommands)


@dataclass(frozen=True, kw_only=True)
class Child(Config):
    speed: float = 2.0
    reward_weights: Mapping[str, float] = field(default_factory=lambda: {"far": 1.0})


@dataclass(frozen=True, kw_only=True)
class Mixed(TaskConfig):
    model: str | Path = "a.xml"
    which: str | int = "auto"
    share: float | str = 0.5
    size: int | float = 1
    given: Any = True
    base: object = VelocityCommands()
    text: "str | Path" = "a.xml"
    maybe: "str | None" = "a"
    older: Optional[str] = "a"  # noqa: UP045


@pytest.mark.parametrize("config", [Config, Child])
@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ({"speed": -0.1}, "a finite number, >= 0, got -0.1"),
        ({"speed": np.inf}, "a finite number, >= 0, got inf"),
        ({"terrain": "ruogh"}, "one of flat, rough, got 'ruogh' (did you mean 'rough'?)"),
        ({"terrain": 1}, "one of flat, rough, got 1"),
        ({"speed": np.float32("nan")}, "a finite number, >= 0, got "),
        ({"speed": "fast"}, "a finite number, >= 0, got 'fast'"),
        ({"speed": None}, "a finite number, >= 0, got None"),
        ({"speed": True}, "a finite number, >= 0, got True"),
        ({"speed": np.ones(2)}, "a finite number, >= 0, got array"),
        ({"mass": 0}, "a finite number, > 0, <= 9, got 0"),
        ({"mass": 9.1}, "a finite number, > 0, <= 9, got 9.1"),
        ({"share": 1.0}, "a finite number, > 0, < 1, got 1.0"),
        ({"count": 0}, "a whole number, >= 1, got 0"),
        ({"count": 2.5}, "a whole number, >= 1, got 2.5"),
        ({"count": np.inf}, "a whole number, >= 1, got inf"),
        ({"count": 10**400}, "a whole number, >= 1, got 1000"),
        ({"places": (0.2, 0.1)}, "finite numbers, low <= high, > 0, got"),
        ({"places": (0.0, 0.1)}, "finite numbers, low <= high, > 0, got"),
        ({"places": (0.1, np.inf)}, "finite numbers, low <= high, > 0, got"),
        ({"places": (0.1,)}, "finite numbers, low <= high, > 0, got"),
        ({"places": 0.1}, "finite numbers, low <= high, > 0, got 0.1"),
        ({"places": "ab"}, "finite numbers, low <= high, > 0, got 'ab'"),
        ({"reward_weights": {"near": np.inf}}, "finite numbers by name, got"),
        ({"reward_weights": [1.0]}, "finite numbers by name, got"),
        ({"plain": np.nan}, "a finite number, got nan"),
        ({"plain": "2"}, "a finite number, got '2'"),
        ({"max_episode_steps": 2.5}, "a whole number, >= 1, got 2.5"),
        ({"observation_noise": np.inf}, "a finite number, >= 0, got inf"),
        ({"control_timestep": np.inf}, "a finite number, >= 1e-06, <= 60, got inf"),
        ({"whole": "2"}, "a whole number, got '2'"),
        ({"whole": 1.5}, "a whole number, got 1.5"),
        ({"on": 1}, "True or False, got 1"),
        ({"title": 2}, "text, got 2"),
        ({"commands": np.nan}, "settings by name, or a VelocityCommands, got nan"),
        ({"others": 1}, "settings by name, or a VelocityCommands, got 1"),
    ],
)
def test_what_cannot_be_is_refused_with_what_is_allowed(config, setting, allowed):
    ((name, _),) = setting.items()
    with pytest.raises(ValueError) as error:
        config(**setting)
    assert f"{name} must be " in str(error.value) and allowed in str(error.value)


@pytest.mark.parametrize(
    "setting",
    [
        {"model": Path("b.xml")},
        {"which": 3},
        {"share": "auto"},
        {"size": 1.5},
        {"given": "x"},
        {"base": 1},
        {"text": Path("b.xml")},
        {"maybe": None},
        {"older": None},
    ],
)
def test_a_setting_of_several_types_may_be_any_of_them(setting):
    ((name, value),) = setting.items()
    assert getattr(Mixed(**setting), name) is value


@pytest.mark.parametrize("setting", [{"size": "x"}, {"maybe": 1}, {"older": 1}])
def test_none_beside_a_type_does_not_lift_its_check(setting):
    ((name, value),) = setting.items()
    with pytest.raises(ValueError, match=f"{name} must be .*, got {value!r}"):
        Mixed(**setting)


def test_true_and_false_may_be_numpys():
    assert Config(on=np.True_).on


def test_what_can_be_is_taken():
    config = Config(
        speed=np.float32(0.5),
        terrain="rough",
        mass=9,
        count=None,
        places=(0.3, 0.3),
        highest=np.inf,
        anything=(),
        mapping={"x": np.nan},
        on=True,
        others=None,
    )
    assert (config.speed, config.mass, config.count) == (0.5, 9, None)
    assert (config.terrain, Config().terrain) == ("rough", "flat")
    assert Child().reward_weights == {"far": 1.0} and Child().speed == 2.0
    assert Config().reward_weights == {"near": 1.0, "effort": -0.1}
    assert Config().reward_weights is not Config().reward_weights


@dataclass(frozen=True, kw_only=True)
class Loose(TaskConfig):
    speed: float = 1
    """Of the
    cart (m/s)."""
    span: tuple[float, float] = (0, 1)
    commands: VelocityCommands = VelocityCommands()
    reward_weights: Mapping[str, float] = field(default_factory=lambda: {"alive": 1, "fall": -1})


@pytest.mark.parametrize(
    "forward",
    [{"commands": {"forward": [0, 1]}}, {"commands.forward": (0, 1)}],
)
def test_parts_of_a_setting_are_changed_by_dotted_name_or_mapping(forward):
    weights = {"reward_weights.alive": 0.5}
    changed = Loose().override(speed=2, span=[0.5, 2], **forward, **weights)
    assert changed.commands == VelocityCommands(forward=(0.0, 1.0))
    assert changed.reward_weights == {"alive": 0.5, "fall": -1.0}
    assert (changed.speed, changed.span) == (2.0, (0.5, 2))
    assert type(changed.speed) is float and type(changed.commands.forward[0]) is float
    assert Loose().commands == VelocityCommands()


def test_changes_of_one_setting_add_up():
    changes = {"commands": {"turn": (0, 0)}, "commands.forward": (1, 1)}
    assert Loose().override(**changes).commands == VelocityCommands(forward=(1, 1), turn=(0, 0))


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"comands.forward": 1}, TypeError, "argument 'comands.forward': did you mean 'commands'"),
        ({"commands.forwrd": 1}, ValueError, "commands.forwrd: .* (did you mean 'forward'?)"),
        ({"commands": {"forwrd": 1}}, ValueError, "commands.forwrd: .* (did you mean 'forward'?)"),
        ({"commands.forward": 1}, ValueError, "commands.forward must be (low, high), .* got 1"),
        ({"reward_weights.aliv": 1}, ValueError, "reward_weights.aliv: .*'alive'"),
        ({"speed.x": 1}, ValueError, "speed.x: there is nothing inside of it, it is 1.0"),
    ],
)
def test_a_wrong_part_is_named_in_full(changes, error, message):
    message = message.replace("(", r"\(").replace(")", r"\)").replace("?", r"\?")
    with pytest.raises(error, match=message):
        Loose().override(**changes)


def test_the_meaning_of_a_setting_may_stand_below_it():
    docs = {setting.name: setting.doc for setting in declared(Loose)}
    assert docs["speed"] == "Of the cart (m/s)."
    assert docs["max_episode_steps"].startswith("Steps after which an episode is truncated")


def test_every_setting_of_every_task_has_a_meaning():
    for env_id in list_envs():
        config = entry(env_id).config
        for part in (config, *filter(is_dataclass, vars(config).values())):
            assert not [s.name for s in declared(type(part)) if not s.doc and s.name != "commands"]
