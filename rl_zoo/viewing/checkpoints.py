# SPDX-License-Identifier: Apache-2.0
"""The checkpoints of a run, for a viewer to choose from."""

from adapters import Policy
from motrix_gym import MotrixVectorEnv
from rl_zoo.errors import ZooError
from rl_zoo.policies import check_fits
from rl_zoo.runs import Run, RunError


class Checkpoints:
    """The policies of a run that is finished, or that is being trained.

    Attributes:
        names: A phrase for each, by the folder of the checkpoint, from the first to the last.
        shown: The folder of the one that is played.
    """

    def __init__(self, run: Run, env: MotrixVectorEnv, env_id: str):
        """Begins with the best policy of the run."""
        self._run, self._env, self._env_id = run, env, env_id
        self.names: dict[str, str] = {}
        self.refresh()
        best = run.manifest()["best"]
        self.shown = best["folder"] if best else ""

    def refresh(self) -> None:
        """Reads anew which there are.

        Raises:
            ZooError: the run cannot be read any more; `names` stay.
        """
        try:
            best = self._run.manifest()["best"]
            entries = self._run.history()
        except RunError as error:
            raise ZooError(str(error)) from error
        self.names = {
            entry["folder"]: f"{entry['steps']:,} steps{' (best)' if entry == best else ''}"
            for entry in entries
        }

    def load(self, folder: str) -> Policy:
        """Returns the policy of a checkpoint, which becomes the shown one.

        Raises:
            ZooError: it is gone, damaged, or does not fit the environment.
        """
        try:
            policy = self._run.policy(folder)
        except (RunError, ValueError) as error:  # not in the manifest any more
            raise ZooError(f"{self.names.get(folder, folder)}: {error}") from error
        check_fits(policy, self._env, self._env_id)
        self.shown = folder
        return policy
