# SPDX-License-Identifier: Apache-2.0
"""What a study leaves: the best settings as a YAML block, and a picture of what mattered."""

from pathlib import Path
from typing import TYPE_CHECKING

from rl_zoo import yaml_files
from rl_zoo.tuning.study import Problem

if TYPE_CHECKING:
    import optuna


def settings_block(problem: Problem, trial: "optuna.trial.FrozenTrial") -> str:
    """Returns the block of a settings file with a trial's settings: all that are not defaults."""
    config = problem.plan(problem.objective.seeds[0], trial.user_attrs["settings"]).config
    defaults = type(config)().as_dict()
    own = {k: v for k, v in config.as_dict().items() if v != defaults[k] and k != "seed"}
    return yaml_files.dump({problem.algo: own})


def draw_importances(study: "optuna.Study", path: Path) -> bool:
    """Draws how much each setting mattered; returns False if too few trials are complete."""
    import optuna
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 4:
        return False
    found = optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    names = sorted(found, key=lambda name: found[name])
    figure = Figure(figsize=(6.4, 0.6 + 0.32 * len(names)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.barh(names, [found[name] for name in names], color="#4477aa")
    axes.set_xlabel(f"importance for {study.user_attrs['objective']} (PED-ANOVA)")
    axes.set_title(f"{study.user_attrs['env_id']}, {len(complete)} complete trials")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return True
