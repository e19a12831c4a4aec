"""From runs to numbers: rollouts to uniform's accuracy, with an interval over paired seeds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.record import Record
from cero_api.contest import Estimate
from cero_trl.demo.summary import smoothed

RESAMPLES = 2000

Curves = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number and its 95% interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A variant in a regime, against uniform on the same seeds.

    Attributes:
        seeds: how many both have run.
        start: accuracy of the starting model.
        final: accuracy at the end.
        less: the same less uniform's, seed by seed.
        area: mean accuracy over the whole training.
        area_less: the same less uniform's, seed by seed.
        ratio: rollouts to uniform's final accuracy, over what uniform took.
        effective: share of groups with both a success and a failure.
        steps: optimiser steps.
        pace: wall time of the training over uniform's, median over seeds.
        allocator_seconds: in the allocator, over the whole training.
    """

    seeds: int
    start: float
    final: Estimate
    less: Estimate | None
    area: Estimate
    area_less: Estimate | None
    ratio: Interval | None
    effective: float
    steps: int
    pace: float | None
    allocator_seconds: float


def curves(records: Mapping[int, Record]) -> Curves:
    """Smoothed accuracy, float64 `[seeds, evaluations]`."""
    return np.array([smoothed(record.accuracy) for _, record in sorted(records.items())])


def area(curve: NDArray[np.float64]) -> float:
    """Mean height of a curve on an even grid, by the trapezoidal rule."""
    return float((curve[:-1] + curve[1:]).mean() / 2)


def reaches(curve: NDArray[np.float64], target: float) -> float | None:
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


def rollout_ratio(mine: NDArray[np.float64], uniform: NDArray[np.float64]) -> float:
    """Rollouts that one takes to the other's final accuracy, over what the other takes: below 1 is better.

    Uniform's final accuracy is the target if `mine` reaches it; else the roles are exchanged, and the ratio is one over
    what uniform takes to the final accuracy of `mine`. Either way it is continuous at 1.

    >>> fast, slow = np.array([0.0, 0.4, 0.5]), np.array([0.0, 0.2, 0.4])
    >>> rollout_ratio(fast, slow), rollout_ratio(slow, fast)
    (0.5, 2.0)
    """
    reached = reaches(mine, uniform[-1])
    if reached is not None:
        own = reaches(uniform, uniform[-1])
        return reached / own if own else 1.0
    back = reaches(uniform, mine[-1])
    own = reaches(mine, mine[-1])
    return own / back if back and own else float("inf")


def ratio_interval(mine: Curves, uniform: Curves, seed: int = 0) -> Interval:
    """The ratio of the mean curves, and its percentile bootstrap over paired seeds.

    Args:
        mine: float64 `[seeds, evaluations]`.
        uniform: of the same seeds, in the same order.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)
    draws = rng.integers(len(mine), size=(RESAMPLES, len(mine)))
    ratios = [rollout_ratio(mine[draw].mean(0), uniform[draw].mean(0)) for draw in draws]
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Interval(rollout_ratio(mine.mean(0), uniform.mean(0)), float(low), float(high))


def pooled_ratio(pairs: Sequence[tuple[Curves, Curves]], seed: int = 0) -> Interval:
    """The geometric mean of several regimes' ratios, and its percentile bootstrap over the paired seeds of each.

    Args:
        pairs: of each regime the variant's and uniform's curves, float64 `[seeds, evaluations]`, of the same seeds.
        seed: of the resampling.
    """
    rng = np.random.default_rng(seed)

    def mean(draw: Callable[[Curves], NDArray[np.int64]]) -> float:
        logs = []
        for mine, uniform in pairs:
            chosen = draw(mine)
            logs.append(np.log(rollout_ratio(mine[chosen].mean(0), uniform[chosen].mean(0))))
        return float(np.exp(np.mean(logs)))

    resampled = [mean(lambda curve: rng.integers(len(curve), size=len(curve))) for _ in range(RESAMPLES)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(mean(lambda curve: np.arange(len(curve))), float(low), float(high))


def pooled(runs: Sequence[tuple[Mapping[int, Record], Mapping[int, Record]]]) -> tuple[Interval, Estimate, Estimate]:
    """One variant over several regimes: ratio, and differences of final accuracy and of area, over all paired seeds.

    Args:
        runs: of each regime the variant's runs and uniform's, by seed.
    """
    pairs = []
    for records, uniform in runs:
        seeds = sorted(set(records) & set(uniform))
        pairs.append((curves({s: records[s] for s in seeds}), curves({s: uniform[s] for s in seeds})))
    finals = [float(d) for mine, base in pairs for d in mine[:, -1] - base[:, -1]]
    areas = [area(a) - area(b) for mine, base in pairs for a, b in zip(mine, base, strict=True)]
    return pooled_ratio(pairs), Estimate.of(finals), Estimate.of(areas)


def row(records: Mapping[int, Record], uniform: Mapping[int, Record]) -> Row:
    """All numbers of one variant.

    Args:
        records: its runs by seed.
        uniform: uniform's.
    """
    paired = sorted(set(records) & set(uniform))
    own = {seed: records[seed] for seed in (paired or sorted(records))}
    mine = curves(own)
    finals, areas = mine[:, -1], np.array([area(curve) for curve in mine])
    less = area_less = ratio = pace = None
    if paired and any(own[seed] is not uniform[seed] for seed in paired):
        base = curves({seed: uniform[seed] for seed in paired})
        less = Estimate.of((finals - base[:, -1]).tolist())
        area_less = Estimate.of((areas - [area(curve) for curve in base]).tolist())
        ratio = ratio_interval(mine, base)
        pace = float(np.median([own[seed].seconds / uniform[seed].seconds for seed in paired]))
    return Row(
        seeds=len(own),
        start=float(mine[:, 0].mean()),
        final=Estimate.of(finals.tolist()),
        less=less,
        area=Estimate.of(areas.tolist()),
        area_less=area_less,
        ratio=ratio,
        effective=float(np.mean([r.effective_group_rate for r in own.values()])),
        steps=len(next(iter(own.values())).counts),
        pace=pace,
        allocator_seconds=float(np.mean([r.allocator_seconds for r in own.values()])),
    )
