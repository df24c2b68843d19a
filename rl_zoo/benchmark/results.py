# SPDX-License-Identifier: Apache-2.0
"""The results of a benchmark: figures with where they come from, as JSON, and their comparison."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from motrix_gym.names import shown
from motrix_gym.settings import is_number
from rl_zoo import provenance
from rl_zoo.errors import ZooError
from rl_zoo.tables import number

SCHEMA_VERSION = 1
NOISE = 0.03  # a smaller change of a ratio is none: blocks of one day differ so much from another's
NOISE_OF_SIZES = 0.25  # of memory, which has no yardstick, and comes in pages
RESAMPLES = 10_000


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        value: The median over the blocks.
        unit: Such as "steps/s".
        ratios: By pair of blocks, its speed as a share of the yardstick's; empty without one.
        judged: Whether a change of it is ours, and tells of a regression.
    """

    value: float
    unit: str
    ratios: tuple[float, ...] = ()
    judged: bool = False

    def __str__(self) -> str:
        """Returns the figure for a table."""
        share = f", {median(self.ratios):.2f} of the yardstick" if self.ratios else ""
        return f"{number(self.value)} {self.unit}{share}"


def encode(figures: Mapping[str, Figure]) -> bytes:
    """Returns a file's contents: the figures, processor, versions, code and date."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "date": date.today().isoformat(),
        **provenance.session(),
        "figures": {name: asdict(figure) for name, figure in figures.items()},
    }
    return json.dumps(content, indent=1).encode() + b"\n"


def file_name() -> str:
    """Returns a name for this machine's results, such as "amd-epyc-2-core.json"."""
    machine = provenance.machine()
    words = re.findall(r"[a-z0-9]+", f"{machine['cpu']} {machine['cores']} core".lower())
    return f"{'-'.join(words)}.json"


@dataclass(frozen=True)
class Stored:
    """Results that were measured before."""

    figures: dict[str, Figure]
    versions: dict[str, str]


def read(path: Path) -> Stored:
    """Returns the results in a file, which must be of this processor.

    Raises:
        ZooError: It cannot be read, or is of another processor, or of as many cores.
    """
    try:
        content = json.loads(path.read_bytes())
        figures = {name: _figure(entry) for name, entry in content["figures"].items()}
        version, versions = content["schema_version"], dict(content["versions"])
        theirs = {"cpu": content["cpu"], "cores": content["cores"]}
    except OSError as error:
        raise ZooError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ZooError(f"{path} has no results of motrix benchmark: {error}") from error
    if version != SCHEMA_VERSION:
        raise ZooError(
            f"{path} has schema_version {shown(version)}, this program reads {SCHEMA_VERSION}"
        )
    here = provenance.machine()
    if theirs != here:
        raise ZooError(
            f"{path} is of {theirs['cpu']} with {theirs['cores']} cores, this is {here['cpu']} "
            f"with {here['cores']}: measure both on one machine"
        )
    return Stored(figures, versions)


def _figure(entry: dict[str, Any]) -> Figure:
    ratios = tuple(entry["ratios"])
    figure = Figure(entry["value"], entry["unit"], ratios, entry["judged"] is True)
    if not all(is_number(x) and x > 0 for x in (figure.value, *figure.ratios)):
        raise ValueError("a figure that is no number above 0")
    return figure


@dataclass(frozen=True)
class Change:
    """How a figure has changed; 0.1 is 10 % faster, or smaller.

    Attributes:
        share: The change.
        low: Where its 95 % interval begins.
        high: Where it ends.
        noise: What is none.
    """

    share: float
    low: float
    high: float
    noise: float

    @property
    def verdict(self) -> str:
        """The change in a word."""
        if self.high < -self.noise:
            return "REGRESSION"
        return "better" if self.low > self.noise else "within noise"

    def __str__(self) -> str:
        """Returns the change for a table."""
        interval = f" [{self.low:+.1%}, {self.high:+.1%}]" if self.low < self.high else ""
        return f"{self.share:+.1%}{interval}: {self.verdict}"


def change(old: Figure, new: Figure) -> Change:
    """Returns how a figure has changed.

    Where both have ratios to a yardstick, these are compared, since the speed of a machine changes
    from hour to hour. The interval is a bootstrap's, of the ratio of the two medians.
    """
    if not (old.ratios and new.ratios):
        share = old.value / new.value - 1  # smaller is better
        return Change(share, share, share, NOISE_OF_SIZES)
    stream = np.random.default_rng(0)

    def medians(ratios: Sequence[float]) -> np.ndarray:
        drawn = stream.choice(np.array(ratios), (RESAMPLES, len(ratios)))
        return np.median(drawn, axis=1)

    share = median(new.ratios) / median(old.ratios) - 1
    low, high = np.quantile(medians(new.ratios) / medians(old.ratios) - 1, (0.025, 0.975))
    return Change(share, float(low), float(high), NOISE)


def changes(old: Mapping[str, Figure], new: Mapping[str, Figure]) -> dict[str, Change]:
    """Returns how the judged figures that both have, have changed."""
    names = [name for name, figure in new.items() if figure.judged and name in old]
    return {name: change(old[name], new[name]) for name in names}


def versions_that_differ(old: Mapping[str, str]) -> str:
    """Returns a line on libraries of other versions then and now; nothing if there are none."""
    new = provenance.versions()
    names = [name for name in old.keys() & new.keys() if old[name] != new[name]]
    if not names:
        return ""
    return f"versions: {', '.join(f'{n} {old[n]}, now {new[n]}' for n in sorted(names))}\n"
