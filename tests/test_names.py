# SPDX-License-Identifier: Apache-2.0
from motrix_gym.names import did_you_mean, nearest


def test_the_nearest_name_is_offered_if_one_is_near():
    names = ["learning_rate", "learning_epochs", "rollouts"]
    assert nearest("lerning_rate", names) == "learning_rate"
    assert nearest("rollout", dict.fromkeys(names)) == "rollouts"
    assert did_you_mean("learning_epoch", names) == " (did you mean 'learning_epochs'?)"
    for odd in ("seed", "", None, 3):
        assert nearest(odd, names) is None
        assert did_you_mean(odd, names) == ""


def test_the_cutoff_says_how_near():
    assert nearest("pole", ["cartpole-v0"]) is None
    assert nearest("pole", ["cartpole-v0"], cutoff=0.5) == "cartpole-v0"
