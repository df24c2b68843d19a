# SPDX-License-Identifier: Apache-2.0
"""Talking to the Hugging Face Hub; each of its errors becomes one line.

HF_ENDPOINT says where the Hub is, if it is another one, and HF_TOKEN who you are.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from motrix_gym.names import one_line, shown
from rl_zoo.errors import UsageError, ZooError
from rl_zoo.hints import missing

LOG_IN = "`hf auth login`, or the variable HF_TOKEN, says who you are"


@dataclass(frozen=True)
class Listing:
    """What is in a repository.

    Attributes:
        commit: The commit, in hexadecimal digits.
        names: The files' names.
    """

    commit: str
    names: tuple[str, ...]


class Repository:
    """A model repository on the Hub.

    Args:
        name: "user/name".

    Raises:
        UsageError: The name is of another form.
        ZooError: huggingface_hub is not installed.
    """

    def __init__(self, name: str):
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) or ".." in name:
            raise UsageError(f"{shown(name)} names no repository of the Hub: those are USER/NAME")
        try:
            import huggingface_hub
            from huggingface_hub.utils import disable_progress_bars
        except ModuleNotFoundError as error:
            if error.name != "huggingface_hub":
                raise
            raise ZooError(missing("huggingface_hub", "hub")) from error
        if not sys.stderr.isatty():
            disable_progress_bars()
        self.name = name
        self.endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
        self._api = huggingface_hub.HfApi(endpoint=self.endpoint)

    @property
    def url(self) -> str:
        """The address of its page."""
        return f"{self.endpoint}/{self.name}"

    def listing(self, revision: str | None = None) -> Listing:
        """Returns what is in it at a revision: a branch, a tag or a commit.

        Raises:
            ZooError: There is no such repository or revision, or no answer.
        """
        with self._told():
            info = self._api.model_info(self.name, revision=revision)
        siblings = [sibling.rfilename for sibling in info.siblings or ()]
        return Listing(str(info.sha), tuple(siblings))

    def read(self, name: str, commit: str) -> bytes:
        """Returns the contents of a file.

        Raises:
            ZooError: It cannot be fetched.
        """
        with self._told():
            path = self._api.hf_hub_download(self.name, name, revision=commit)
        return Path(path).read_bytes()

    def existing(self, name: str) -> bytes | None:
        """Returns the contents of a file; None if there is none, or no such repository yet.

        Raises:
            ZooError: There is no answer.
        """
        from huggingface_hub.errors import RepositoryNotFoundError

        with self._told():
            try:
                info = self._api.model_info(self.name)
            except RepositoryNotFoundError:
                return None
        there = name in [sibling.rfilename for sibling in info.siblings or ()]
        return self.read(name, str(info.sha)) if there else None

    def write(self, files: Mapping[str, bytes | Path], message: str, *, private: bool) -> str:
        """Makes one commit of files, in a repository that is made if need be; returns its address.

        Args:
            files: Contents, or where they are, by name.
            message: Of the commit.
            private: Whether a new repository is seen by its owner alone.

        Raises:
            ZooError: The Hub does not let you, or does not answer.
        """
        from huggingface_hub import CommitOperationAdd

        with self._told():
            self._api.create_repo(self.name, private=private, exist_ok=True)
            operations = [CommitOperationAdd(name, content) for name, content in files.items()]
            commit: Any = self._api.create_commit(self.name, operations, commit_message=message)
        return str(commit.commit_url)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turns the errors of huggingface_hub into one line each."""
        from huggingface_hub import errors

        refused = 401, 403
        base: Any = errors.HfHubHTTPError.__bases__[0]  # of all that its HTTP library raises
        try:
            yield
        except errors.RevisionNotFoundError as error:
            raise ZooError(f"{self.url} has no such revision") from error
        except errors.RepositoryNotFoundError as error:
            raise ZooError(f"{self.url} is not there, or is private: {LOG_IN}") from error
        except errors.LocalTokenNotFoundError as error:
            raise ZooError(f"{self.url} needs a token: {LOG_IN}") from error
        except errors.HfHubHTTPError as error:
            if error.response is not None and error.response.status_code in refused:
                raise ZooError(f"{self.url} refuses you: {LOG_IN}") from error
            raise ZooError(f"{self.url}: {one_line(str(error), 300)}") from error
        except (base, errors.LocalEntryNotFoundError, ConnectionError) as error:
            reason = one_line(str(error), 200)
            raise ZooError(f"the Hub does not answer at {self.endpoint}: {reason}") from error
        except ValueError as error:  # such as metadata of a card that it does not take
            raise ZooError(f"{self.url}: {one_line(str(error), 300)}") from error
