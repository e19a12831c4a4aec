"""One label against another over paired starts and seeds: what it takes to the same accuracy, and how far it gets."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cero_api._types import BoolArray, FloatArray, IntArray
from cero_api.analysis.learning.curve import common_grid, curves, token_curves
from cero_api.analysis.learning.ratio import log_ratios, reached, spent
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.analysis.learning.spread import Interval, Spread, share, together

Runs = Mapping[tuple[str, int], TrainingRecord]  # by start and seed


@dataclass(frozen=True)
class Match:
    """Rollouts, or tokens, to the accuracy of another, over what the other takes: below 1 is better.

    Args:
        end: at the other's final accuracy; where that is not reached, at the highest that is, see `log_ratios`.
        along: geometric mean over nine accuracies, from a third of the gain to all of it. Less noisy than the end.
        starts: that they are over; a start counts once in each regime.
        unlearned: further ones in which neither ends above its start, and which have no ratio.
        unreached: of these starts, those in which the other's final accuracy is not reached.
        at_least: of these, those in which not even a third of the other's gain is: their ratios are lower bounds.
        at_most: those in which the other does not come so far: their ratios are upper bounds.
        end_of_oracle: share of what the oracle saves, log ratio over log ratio; None if there is no oracle, or if its
            own saving is not outside its interval.
        along_of_oracle: the same along the curve.
    """

    end: Interval
    along: Interval
    starts: int
    unlearned: int
    unreached: int
    at_least: int
    at_most: int
    end_of_oracle: Interval | None = None
    along_of_oracle: Interval | None = None


@dataclass(frozen=True)
class Contrast:
    """One label less another, on the starts and seeds that both have.

    Intervals are by Student's t over starts, each start's seeds averaged; over the seeds if there is only one start,
    and then they speak of that start alone.

    Args:
        pairs: of trainings.
        starts: that these have.
        regimes: that it is a mean over.
        of_one_start: regimes of these that have one start alone.
        has_oracle: whether there is an oracle to take shares of.
        rollouts: to the other's accuracy; None if in no start anything was learned.
        tokens: to the other's accuracy; None if not counted.
        less: final accuracy, the mean of the last three evaluations, less the other's, at equal rollouts.
        less_at_equal_tokens: the same where both have spent the tokens of the one that spends fewer.
        area_less: mean accuracy over the training, less the other's.
    """

    pairs: int
    starts: int
    regimes: int
    of_one_start: int
    has_oracle: bool
    rollouts: Match | None
    tokens: Match | None
    less: Interval
    less_at_equal_tokens: Interval | None
    area_less: Interval


class Curves(NamedTuple):
    """Mean curves of B sets of trainings, float64 `[B, points]`: one's and the other's, and the tokens of both."""

    mine: FloatArray
    base: FloatArray
    my_tokens: FloatArray | None
    its_tokens: FloatArray | None

    @property
    def even(self) -> FloatArray:
        """Rollouts, in points of the grid."""
        return np.broadcast_to(np.arange(self.mine.shape[1], dtype=np.float64), self.mine.shape)

    def average(self, weights: FloatArray) -> Curves:
        """Of each row of weights, float64 `[rows, B]`."""
        mine, its = self.my_tokens, self.its_tokens
        tokens = (None, None) if mine is None or its is None else (weights @ mine, weights @ its)
        return Curves(weights @ self.mine, weights @ self.base, *tokens)


class Measured(NamedTuple):
    """All that is measured of pairs of mean curves, each float64 `[B]`; and which ratios are bounds."""

    values: dict[str, FloatArray]
    bound: dict[str, IntArray]
    short: BoolArray


def measure(pair: Curves) -> Measured:
    """What each pair of mean curves says, by name."""
    found = log_ratios(pair.mine, pair.base, pair.even, pair.even)
    heights = pair.mine - pair.base
    values = {
        "end": found.end,
        "along": found.along,
        "less": heights[:, -1],
        "area": (heights[:, :-1] + heights[:, 1:]).mean(1) / 2,
    }
    bound = {"rollouts": found.bound}
    if pair.my_tokens is not None and pair.its_tokens is not None:
        tokens = log_ratios(pair.mine, pair.base, pair.my_tokens, pair.its_tokens)
        equal = np.minimum(pair.my_tokens[:, -1:], pair.its_tokens[:, -1:])
        values |= {
            "token end": tokens.end,
            "token along": tokens.along,
            "less at tokens": _at(pair.mine, pair.my_tokens, equal) - _at(pair.base, pair.its_tokens, equal),
        }
        bound["tokens"] = tokens.bound
    return Measured(values, bound, found.short)


def _at(curve: FloatArray, cost: FloatArray, equal: FloatArray) -> FloatArray:
    """Height of each curve where so much has been spent, float64 `[B]`."""
    return curve[:, 0] + spent(curve, reached(cost, equal))[:, 0]


class Pairs:
    """The trainings of two labels that share start and seed, on the rollouts that these have in common.

    No other training has a say in it: what is found of two labels stays as it is when a third is laid beside them.

    Args:
        mine: of the one, by start and seed.
        base: of the other.

    Raises:
        ConfigurationError: they have no start and seed in common, or no rollouts.
    """

    def __init__(self, mine: Runs, base: Runs) -> None:
        self.keys = sorted(mine.keys() & base.keys())
        own, others = [mine[key] for key in self.keys], [base[key] for key in self.keys]
        grid = common_grid([*own, *others])
        mine_tokens, base_tokens = token_curves(own, grid), token_curves(others, grid)
        counted = mine_tokens is not None and base_tokens is not None
        pair = Curves(
            curves(own, grid), curves(others, grid), mine_tokens if counted else None, base_tokens if counted else None
        )
        names = [start for start, _ in self.keys]
        self.starts = sorted(set(names))
        sizes = np.array([[name == start for name in names] for start in self.starts], dtype=np.float64)
        self.measured = measure(pair.average(sizes / sizes.sum(1, keepdims=True)))
        self._without: Measured | None = None
        self._units: list[Hashable] = list(self.starts)
        if len(self.starts) == 1:
            n = len(self.keys)
            self._units = list(self.keys)
            if n > 1:
                self._without = measure(pair.average((1 - np.eye(n)) / (n - 1)))

    def spread(self, name: str) -> Spread | None:
        """What is measured under a name, over starts or over the seeds of the only start; None if it is of no start."""
        values = self.measured.values.get(name)
        if values is None or np.isnan(values).all():
            return None
        if len(self.starts) > 1:
            known = {unit: float(x) for unit, x in zip(self._units, values, strict=True) if not np.isnan(x)}
            return Spread.of(known)
        if self._without is None:
            return Spread(float(values[0]), {self._units[0]: 0.0}, 0)
        without = self._without.values[name].tolist()
        return Spread.jackknife(float(values[0]), dict(zip(self._units, without, strict=True)))


def contrast(every: Sequence[Pairs], oracle: Sequence[tuple[Pairs, Pairs]] = ()) -> Contrast:
    """One label against another, in one regime or as a mean over several.

    Args:
        every: the pairs of each regime, at least one.
        oracle: of each regime the pairs of the label and of its oracle, on trainings that both have.
    """

    def joined(name: str, pairs: Sequence[Pairs] = every) -> Spread | None:
        found = [spread for pair in pairs if (spread := pair.spread(name)) is not None]
        return together(found) if found else None

    def match(cost: str, end: str, along: str) -> Match | None:
        ends, alongs = joined(end), joined(along)
        if ends is None or alongs is None:
            return None
        bounds = np.concatenate([pair.measured.bound[cost] for pair in every])
        known = np.concatenate([~np.isnan(pair.measured.values[end]) for pair in every])
        short = np.concatenate([pair.measured.short for pair in every])
        return Match(
            end=ends.ratio(),
            along=alongs.ratio(),
            starts=int(known.sum()),
            unlearned=int((~known).sum()),
            unreached=int((short & known).sum()),
            at_least=int((bounds > 0).sum()),
            at_most=int((bounds < 0).sum()),
            end_of_oracle=of_oracle(end),
            along_of_oracle=of_oracle(along),
        )

    def of_oracle(name: str) -> Interval | None:
        if not oracle:
            return None
        mine, whole = (joined(name, pairs) for pairs in zip(*oracle, strict=True))
        return share(mine, whole) if mine is not None and whole is not None else None

    def difference(name: str) -> Interval | None:
        found = joined(name)
        return found.interval() if found is not None else None

    counted = all("tokens" in pair.measured.bound for pair in every)
    less, area_less = difference("less"), difference("area")
    assert less is not None
    assert area_less is not None
    return Contrast(
        pairs=sum(len(pair.keys) for pair in every),
        starts=len({start for pair in every for start in pair.starts}),
        regimes=len(every),
        of_one_start=sum(len(pair.starts) == 1 for pair in every),
        has_oracle=bool(oracle),
        rollouts=match("rollouts", "end", "along"),
        tokens=match("tokens", "token end", "token along")
        if all("tokens" in p.measured.bound for p in every)
        else None,
        less=less,
        less_at_equal_tokens=difference("less at tokens") if counted else None,
        area_less=area_less,
    )
