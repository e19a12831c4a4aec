"""Several regimes together: one ratio, with an interval over the paired seeds of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cero_api.contest import Estimate
from cero_api.learning import Interval, TrainingRecord, area, curves, rollout_ratio

RESAMPLES = 2000

Curves = NDArray[np.float64]


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
    return Interval.around(mean(lambda curve: np.arange(len(curve))), resampled)


def pooled(
    runs: Sequence[tuple[Mapping[int, TrainingRecord], Mapping[int, TrainingRecord]]],
) -> tuple[Interval, Estimate, Estimate]:
    """One variant over several regimes: ratio, and differences of final accuracy and of area, over all paired seeds.

    Args:
        runs: of each regime the variant's runs and uniform's, by seed.
    """
    pairs = []
    for records, uniform in runs:
        seeds = sorted(set(records) & set(uniform))
        pairs.append((curves([records[s] for s in seeds]), curves([uniform[s] for s in seeds])))
    finals = [float(d) for mine, base in pairs for d in mine[:, -1] - base[:, -1]]
    areas = [area(a) - area(b) for mine, base in pairs for a, b in zip(mine, base, strict=True)]
    return pooled_ratio(pairs), Estimate.of(finals), Estimate.of(areas)
