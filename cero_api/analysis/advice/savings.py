"""What the published trainings of the embedded learner saved, by regime and by what was decided how: a table of data.

`python benchmarks/savings.py` fills `savings.json` from the records in docs/evidence/grid; a test holds it to them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from typing import Annotated

from pydantic import Field

from cero_api.frozen import FrozenConfig

Ratio = Annotated[float, Field(gt=0)]


class Saved(FrozenConfig):
    """What one composition needed of something, over what uniform needed to the same accuracies; below 1 is better.

    Args:
        ratio: along the curve, from a third of uniform's gain to all of it.
        low: of the 95% interval over starts; None where one start or training cannot say.
        high: its other end.

    >>> Saved(ratio=0.69, low=0.62, high=0.77).shown, Saved(ratio=0.69, low=0.62, high=0.77).text
    (True, '0.69 [0.62, 0.77]')
    """

    ratio: Ratio
    low: Ratio | None = None
    high: Ratio | None = None

    @property
    def shown(self) -> bool:
        """Whether the interval lies below 1."""
        return self.high is not None and self.high < 1.0

    @property
    def text(self) -> str:
        """As tables have it."""
        interval = "" if self.low is None or self.high is None else f" [{self.low:.2f}, {self.high:.2f}]"
        return f"{self.ratio:.2f}{interval}"


class Saving(FrozenConfig):
    """One composition in one regime.

    Args:
        name: of the composition, as the records have it, such as "window-tokens".
        trainings: that have a partner.
        starts: that they began from.
        window: prompts offered for each that fits; None without a window.
        rollouts: to uniform's accuracies.
        tokens: the same; None where they were not counted.
    """

    name: str
    trainings: int
    starts: int
    window: int | None = None
    rollouts: Saved
    tokens: Saved | None = None

    @property
    def composition(self) -> str:
        """Its name without the width, which `window` has: "window-features" of "window-2-features"."""
        return re.sub(r"^window-\d+", "window", self.name)


class Regime(FrozenConfig):
    """Where compositions were compared.

    Args:
        name: as the records have it, such as "hard-one-visit".
        pool: mixture of prompts.
        visits: of a prompt, were they dealt evenly.
        model: kind of start.
        parameters: of the model, in millions.
        group_size: rollouts of a prompt where all get the same.
        effective: share of uniform's groups whose rewards differ, over the training.
        savings: by composition.
    """

    name: str
    pool: str
    visits: float
    model: str
    parameters: float
    group_size: int
    effective: float
    savings: tuple[Saving, ...]

    def of(self, names: Sequence[str], window: int | None = None) -> Saving | None:
        """The first of these compositions that was tried here at a width; None if none was.

        Args:
            names: without a width.
            window: prompts offered for each that fits; None without a window.
        """
        known = {saving.composition: saving for saving in self.savings if saving.window == window}
        return next((known[name] for name in names if name in known), None)


@cache
def published() -> tuple[Regime, ...]:
    """All regimes, in the order of the table.

    >>> sorted({regime.pool for regime in published()} & {"easy", "hard"})
    ['easy', 'hard']
    """
    text = (resources.files(__package__) / "savings.json").read_text(encoding="utf-8")
    return tuple(Regime(**regime) for regime in json.loads(text)["regimes"])


def regimes_like(
    visits: float,
    effective: float | None,
    group_size: int,
    tried: Callable[[Regime], bool] = lambda _: True,
    table: Sequence[Regime] | None = None,
) -> list[Regime]:
    r"""The regimes nearest to a run in which something of interest was tried; none if it never was in such a pool.

    Of the pools the one with the nearest share of effective groups under uniform, or all where nobody knows it; of each
    the nearest number of visits, by its logarithm, and then the nearest size of groups; of these all models.

    Args:
        visits: of a prompt.
        effective: share of uniform's groups whose rewards differ; None is not known.
        group_size: rollouts of a prompt where all get the same.
        tried: whether a regime is of interest.
        table: of regimes; None is what is published.

    >>> [regime.name for regime in regimes_like(1.0, 0.35, 8) if regime.model == "demo"]
    ['hard-one-visit-demo']
    """
    pools: dict[str, list[Regime]] = {}
    for regime in published() if table is None else table:
        pools.setdefault(regime.pool, []).append(regime)
    if effective is not None and pools:
        nearest = min(pools.values(), key=lambda own: abs(_mean([regime.effective for regime in own]) - effective))
        pools = {nearest[0].pool: nearest}
    found = []
    for everything in pools.values():
        own = [regime for regime in everything if tried(regime)]
        own = _nearest(own, lambda regime: _apart(regime.visits, visits))
        found += _nearest(own, lambda regime: _apart(regime.group_size, group_size))
    return found


def _nearest(regimes: Sequence[Regime], far: Callable[[Regime], float]) -> list[Regime]:
    least = min(map(far, regimes), default=0.0)
    return [regime for regime in regimes if far(regime) <= least + 1e-9]


def _apart(visits: float, other: float) -> float:
    return abs(math.log(visits / other))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
