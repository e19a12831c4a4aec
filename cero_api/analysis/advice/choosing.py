"""Which composition fits a run: the trainers' own, unless published trainings speak for another, and none that lost.

Nothing here names one that is best: a table with other trainings gives other answers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from cero_api.adapting.defaults import WINDOW
from cero_api.analysis.advice.lines import Composition
from cero_api.analysis.advice.savings import Regime, Saved, Saving, published, regimes_like

CLOSE = 0.95  # of uniform's rollouts or tokens: what is nearer to 1 is no saving, and over 1 / CLOSE is a loss


@dataclass(frozen=True)
class Evidence:
    """One published line about a composition.

    Args:
        regime: where it was measured.
        saving: of which composition, and how much.
    """

    regime: Regime
    saving: Saving

    @property
    def measures(self) -> tuple[Saved, ...]:
        """Rollouts, and tokens where they were counted."""
        return tuple(one for one in (self.saving.rollouts, self.saving.tokens) if one is not None)


@dataclass(frozen=True)
class Candidate:
    """A composition, and what was published of it near a run.

    Args:
        composition: as it would be dealt.
        evidence: of it, or of what is dealt alike and knows less.
    """

    composition: Composition
    evidence: tuple[Evidence, ...] = ()

    @property
    def lost(self) -> bool:
        """Whether it needed more than uniform in one of these regimes, on average: of rollouts or of tokens."""
        return any(one.ratio > 1.0 / CLOSE for item in self.evidence for one in item.measures)

    @property
    def cost(self) -> float:
        """Of uniform's tokens, or rollouts where nobody counted: the geometric mean over the regimes."""
        return math.exp(sum(math.log(item.measures[-1].ratio) for item in self.evidence) / len(self.evidence))

    @property
    def pools(self) -> set[str]:
        """Where it was measured."""
        return {item.regime.pool for item in self.evidence}

    def beats(self, other: Candidate) -> bool:
        """Whether it needed less in one regime, the intervals apart, and in none more, and was in all of its pools."""
        told = {item.regime.name: item for item in other.evidence}
        pairs = [
            pair
            for item in self.evidence
            if item.regime.name in told
            for pair in zip(item.measures, told[item.regime.name].measures, strict=True)
        ]
        less = any(_apart(mine, its) for mine, its in pairs) and all(mine.ratio <= its.ratio for mine, its in pairs)
        return less and self.pools >= other.pools


def _apart(mine: Saved, its: Saved) -> bool:
    return mine.high is not None and its.low is not None and mine.high < its.low


def choose(
    usual: Composition,
    visits: float,
    effective: float | None,
    group_size: int = 8,
    widest: int = 1,
    table: Sequence[Regime] | None = None,
) -> Candidate:
    """What to deal, and what is known of it near this run.

    Candidates are the trainers' own composition and, in a window, all others that differ in width or cost and were
    measured. What lost there is left out. The trainers' own stays, unless another beats it; where it lost, or was not
    measured, that which needed the fewest tokens takes its place. If nothing is left, the trainers' own comes with what
    speaks against it, or with nothing if it was never measured there: the caller is to look at `lost` and `evidence`.

    Args:
        usual: the trainers' own.
        visits: of a prompt.
        effective: share of uniform's groups whose rewards differ; None is not known.
        group_size: rollouts of a prompt, on average.
        widest: window that the pool has prompts for.
        table: of regimes; None is what is published.

    >>> choose(Composition("window", source=True), 1.0, 0.13, widest=8).composition.text  # the trainers' own
    'cero, scope=window'
    >>> choose(Composition("window", rates="r"), 1.0, 0.4, widest=8).composition.text
    'cero, scope=window, offline_rates=r'
    """
    table = published() if table is None else table
    ways = [usual]
    if usual.scope == "window":
        widths = {saving.window for regime in table for saving in regime.savings if saving.window is not None}
        ways.append(replace(usual, tokens=True))
        ways += [
            replace(usual, window=width, tokens=tokens)
            for width in sorted(widths - {WINDOW})
            if width <= widest
            for tokens in (False, True)
        ]

    def saving(way: Composition, regime: Regime) -> Saving | None:
        # In a small pool the trainers' own window is narrower than where it was measured, as it is for other reasons.
        return regime.of(way.names, (way.window or WINDOW) if way.scope == "window" else None)

    near = regimes_like(visits, effective, group_size, lambda regime: any(saving(way, regime) for way in ways), table)
    tried = []
    for way in ways:
        found = [Evidence(regime, one) for regime in near if (one := saving(way, regime)) is not None]
        tried.append(Candidate(way, tuple(found)))
    first, *others = tried
    standing = [one for one in others if one.evidence and not one.lost]
    if first.evidence and not first.lost:
        standing = [one for one in standing if one.beats(first)]
    return min(standing, key=lambda one: (-len(one.pools), one.cost), default=first)
