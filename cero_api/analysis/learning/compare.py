"""From trainings to numbers: rollouts to the baseline's accuracy, with an interval over paired seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.contest import Estimate
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.errors import ConfigurationError

WINDOW = 3  # evaluations that are averaged
RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A number and its 95% interval."""

    value: float
    low: float
    high: float

    @classmethod
    def around(cls, value: float, resampled: Sequence[float]) -> Interval:
        """The percentile interval of a bootstrap; its ends are resampled values, since some may be infinite.

        >>> Interval.around(2.0, [1.0, 2.0, float("inf")])
        Interval(value=2.0, low=1.0, high=inf)
        """
        low = np.quantile(resampled, 0.025, method="lower")
        return cls(value, float(low), float(np.quantile(resampled, 0.975, method="higher")))


@dataclass(frozen=True)
class TrainingResult:
    """One label's numbers, against the baseline on the same seeds.

    Args:
        seeds: trainings; where there is a baseline, those that it has the seeds of too.
        rollouts: that were compared, of each training.
        start: accuracy of the starting model.
        final: accuracy at the end, the mean of the last three evaluations.
        less: the same less the baseline's, seed by seed; None for the baseline, and without one.
        area: mean accuracy over the whole training.
        area_less: the same less the baseline's, seed by seed.
        ratio: rollouts to the baseline's final accuracy, over what the baseline took, see `rollout_ratio`.
        effective: share of groups with both a success and a failure, mean; None if not recorded, as all below.
        signal: variance of a rollout's group, mean over rollouts and trainings.
        steps: optimizer steps, mean.
        pace: wall time of a training over the baseline's, median over seeds.
        allocator_seconds: in the allocator, over the whole training, mean.
    """

    seeds: int
    rollouts: int
    start: float
    final: Estimate
    less: Estimate | None
    area: Estimate
    area_less: Estimate | None
    ratio: Interval | None
    effective: float | None
    signal: float | None
    steps: float | None
    pace: float | None
    allocator_seconds: float | None

    def numbers(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: a ratio beyond all rollouts is None."""
        fields = asdict(self)
        if self.ratio is not None:
            fields["ratio"] = {name: x if math.isfinite(x) else None for name, x in fields["ratio"].items()}
        return fields


def smoothed(values: Sequence[float]) -> FloatArray:
    """Mean of each value and the two before it; the first two have fewer to average.

    >>> smoothed([0.0, 3.0, 3.0, 6.0])
    array([0. , 1.5, 2. , 4. ])
    """
    total = np.cumsum([0.0, *values])
    end = np.arange(1, total.size)
    begin = np.maximum(end - WINDOW, 0)
    means: FloatArray = (total[end] - total[begin]) / (end - begin)
    return means


def curves(records: Sequence[TrainingRecord], grid: FloatArray | None = None) -> FloatArray:
    """Smoothed accuracy on one grid of rollouts, linear in between: float64 `[trainings, points]`.

    Args:
        records: of trainings, in order.
        grid: float64 `[points]`, rollouts; None is `common_grid(records)`.
    """
    points = common_grid(records) if grid is None else grid
    return np.array([np.interp(points, record.rollouts, smoothed(record.accuracy)) for record in records])


def common_grid(records: Iterable[TrainingRecord]) -> FloatArray:
    """Equal steps over the rollouts that every training has been evaluated at: float64 `[points]`.

    What one has spent beyond another is left out, so that only equal rollouts are compared.

    Raises:
        ConfigurationError: no training, or two that have no rollouts in common.
    """
    ends = [(record.rollouts[0], record.rollouts[-1], len(record.rollouts)) for record in records]
    if not ends:
        raise ConfigurationError("no trainings to compare; give at least one")
    first, last = max(end[0] for end in ends), min(end[1] for end in ends)
    if last <= first:
        raise ConfigurationError(f"one training ends at {last} rollouts, another begins at {first}; compare equal ones")
    return np.linspace(first, last, max(end[2] for end in ends))


def area(curve: FloatArray) -> float:
    """Mean height of a curve on an even grid, by the trapezoidal rule.

    >>> area(np.array([0.0, 0.5, 1.0]))
    0.5
    """
    return float((curve[:-1] + curve[1:]).mean() / 2)


def reaches(curve: FloatArray, target: float) -> float | None:
    """Where a curve on an even grid over [0, 1] first reaches a target, linear in between; None if it does not.

    >>> reaches(np.array([0.0, 0.2, 0.4]), 0.3)
    0.75
    """
    above = np.flatnonzero(curve >= target)
    if not above.size:
        return None
    i = int(above[0])
    if i == 0:
        return 0.0
    part = (target - curve[i - 1]) / (curve[i] - curve[i - 1])
    return float((i - 1 + part) / (curve.size - 1))


def rollout_ratio(mine: FloatArray, base: FloatArray) -> float:
    """Rollouts that one takes to the baseline's final accuracy, over what the baseline takes: below 1 is better.

    The baseline's final accuracy is the target if `mine` reaches it; else the roles are exchanged, and the ratio is one
    over what the baseline takes to the final accuracy of `mine`. Either way it is continuous at 1.

    Args:
        mine: float64 `[points]`, accuracy on an even grid of rollouts.
        base: of the baseline, on the same grid.

    >>> fast, slow = np.array([0.0, 0.4, 0.5]), np.array([0.0, 0.2, 0.4])
    >>> rollout_ratio(fast, slow), rollout_ratio(slow, fast)
    (0.5, 2.0)
    """
    reached = reaches(mine, base[-1])
    if reached is not None:
        own = reaches(base, base[-1])
        return reached / own if own else 1.0
    back = reaches(base, mine[-1])
    own = reaches(mine, mine[-1])
    return own / back if back and own else float("inf")


def ratio_interval(mine: FloatArray, base: FloatArray, seed: int = 0) -> Interval:
    """The ratio of the mean curves, and its percentile bootstrap over paired seeds.

    Args:
        mine: float64 `[seeds, points]`.
        base: the baseline's, of the same seeds in the same order.
        seed: of the resampling.
    """
    return pooled_ratio([(mine, base)], seed)


def pooled_ratio(pairs: Sequence[tuple[FloatArray, FloatArray]], seed: int = 0) -> Interval:
    """The geometric mean of several comparisons' ratios, and its percentile bootstrap over the paired seeds of each.

    Args:
        pairs: of each comparison one's curves and the baseline's, float64 `[seeds, points]`, of the same seeds in the
            same order.
        seed: of the resampling.

    >>> fast, slow = np.array([[0.0, 0.4, 0.5]]), np.array([[0.0, 0.2, 0.4]])
    >>> pooled_ratio([(fast, slow), (slow, fast)])
    Interval(value=1.0, low=1.0, high=1.0)
    """
    rng = np.random.default_rng(seed)

    def mean(chosen: Iterable[IntArray]) -> float:
        means = [(mine[rows].mean(0), base[rows].mean(0)) for (mine, base), rows in zip(pairs, chosen, strict=True)]
        with np.errstate(divide="ignore"):  # a target that was met at the start has ratio 0
            return float(np.exp(np.mean(np.log([rollout_ratio(mine, base) for mine, base in means]))))

    sizes = [len(mine) for mine, _ in pairs]
    resampled = [mean([rng.integers(size, size=size) for size in sizes]) for _ in range(RESAMPLES)]
    return Interval.around(mean([np.arange(size) for size in sizes]), resampled)


def compare_trainings(records: Iterable[TrainingRecord], baseline: str = "uniform") -> dict[str, TrainingResult]:
    """Every label against the baseline, on the seeds that both have.

    Args:
        records: of all trainings, in any order.
        baseline: label that the others are compared with; if no record has it, nothing is compared.

    Returns:
        By label, in the order of the records.

    Raises:
        ConfigurationError: no records, or records without common rollouts.

    >>> runs = [TrainingRecord(label=a, seed=s, rollouts=[0, 64, 128], accuracy=[0.0, x, 0.3])
    ...         for a, x in (("uniform", 0.1), ("cero", 0.2)) for s in (0, 1)]
    >>> result = compare_trainings(runs)["cero"]
    >>> result.seeds, round(result.area_less.mean, 3)
    (2, 0.033)
    """
    everything = list(records)
    grid = common_grid(everything)
    by_label: dict[str, dict[int, TrainingRecord]] = {}
    for record in everything:
        by_label.setdefault(record.label, {})[record.seed] = record
    base = by_label.get(baseline, {})
    return {label: _result(own, {} if own is base else base, grid) for label, own in by_label.items()}


def _result(
    records: Mapping[int, TrainingRecord], baseline: Mapping[int, TrainingRecord], grid: FloatArray
) -> TrainingResult:
    paired = sorted(set(records) & set(baseline))
    own = [records[seed] for seed in paired or sorted(records)]
    mine = curves(own, grid)
    finals, areas = mine[:, -1], np.array([area(curve) for curve in mine])
    less = area_less = ratio = pace = None
    if paired:
        others = [baseline[seed] for seed in paired]
        base = curves(others, grid)
        less = Estimate.of((finals - base[:, -1]).tolist())
        area_less = Estimate.of((areas - [area(curve) for curve in base]).tolist())
        ratio = ratio_interval(mine, base)
        paces = [a.seconds / b.seconds for a, b in zip(own, others, strict=True) if a.seconds and b.seconds]
        pace = float(np.median(paces)) if paces else None
    return TrainingResult(
        seeds=len(own),
        rollouts=int(grid[-1]),
        start=float(mine[:, 0].mean()),
        final=Estimate.of(finals.tolist()),
        less=less,
        area=Estimate.of(areas.tolist()),
        area_less=area_less,
        ratio=ratio,
        effective=_mean([record.effective_group_rate for record in own]),
        signal=_mean([record.signal_per_rollout for record in own]),
        steps=_mean([record.optimizer_steps for record in own]),
        pace=pace,
        allocator_seconds=_mean([record.allocator_seconds for record in own]),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
