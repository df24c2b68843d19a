# SPDX-License-Identifier: Apache-2.0
"""Parts of error messages: the nearest name, and values on one line."""

from motrix_gym.names import did_you_mean, nearest, one_line, shown


def test_the_nearest_name_is_offered_if_one_is_near():
    names = ["learning_rate", "learning_epochs", "rollouts"]
    assert nearest("lerning_rate", names) == "learning_rate"
    assert nearest("rollout", dict.fromkeys(names)) == "rollouts"
    assert did_you_mean("learning_epoch", names) == " (did you mean 'learning_epochs'?)"
    for odd in ("seed", "", None, 3, 16**4000):
        assert nearest(odd, names) is None
        assert did_you_mean(odd, names) == ""


def test_the_cutoff_says_how_near():
    assert nearest("pole", ["cartpole-v0"]) is None
    assert nearest("pole", ["cartpole-v0"], cutoff=0.5) == "cartpole-v0"


def test_a_message_shows_a_value_in_one_short_line():
    assert shown("a\n\x1b[31m\u202e\ud800é") == r"'a\n\x1b[31m\u202e\ud800é'"
    assert shown([1, "x", None]) == "[1, 'x', None]"
    nested = []
    for _ in range(100_000):
        nested = [nested]
    for value in ("x" * 10**6, list(range(10**5)), 10**400, 16**4000, nested):
        text = shown(value)
        assert len(text) <= 200 and text.isprintable()
    assert shown("left" + "x" * 10**6 + "right").startswith("'leftxx")
    assert shown("left" + "x" * 10**6 + "right").endswith("xxright'")


def test_one_line_keeps_what_a_terminal_can_show():
    assert one_line("a: 'é'\r\n\tb\u2028c\x1b[0m\x00", 100) == r"a: 'é' \tb c\x1b[0m\x00"
    assert one_line("x" * 100, 100) == "x" * 100
    assert one_line("x" * 101, 100) == "x" * 47 + " ... " + "x" * 47


def test_one_line_is_no_longer_than_asked_when_it_escapes():
    assert len(one_line("\x1b" * 5000, 1200)) <= 1200
    assert one_line("\x1b" * 25, 100) == r"\x1b" * 25
