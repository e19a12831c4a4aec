"""Several regimes together: one ratio, with an interval over the paired seeds of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cero_api.analysis.contest import Estimate
from cero_api.analysis.learning import Interval, TrainingRecord, area, curves, pooled_ratio


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
