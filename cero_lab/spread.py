"""All seeds together: means with their 95% intervals, and differences to uniform seed by seed."""

from __future__ import annotations

from collections.abc import Sequence

from cero_api.analysis.contest import Estimate
from cero_lab.summary import Summary

SPREAD_HEADINGS = ("allocator", "seeds", "sampled accuracy", "less uniform's", "rollouts to match", "effective groups")

SPREAD_HOW = (
    "Means over seeds ± half of the 95% interval by Student's t. Differences and rollouts to match (as a share of what "
    "uniform took) are taken seed by seed; the count is of the seeds on which uniform's accuracy was reached."
)


def spread_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """One row per allocator, over all of its seeds.

    Args:
        summaries: of the runs.

    Returns:
        Rows of texts under `SPREAD_HEADINGS`.
    """
    uniform = {s.seed: s for s in summaries if s.allocator == "uniform"}
    rows = []
    for name in dict.fromkeys(s.allocator for s in summaries):
        runs = [s for s in summaries if s.allocator == name]
        paired = [(s, uniform[s.seed]) for s in runs if s.seed in uniform]
        ratios = [s.to_match / u.to_match for s, u in paired if s.to_match and u.to_match]
        accuracy = _stated(Estimate.of([s.final for s in runs]))
        less = _stated(Estimate.of([s.final - u.final for s, u in paired]), "+") if paired else "-"
        match = f"{_stated(Estimate.of(ratios), digits=2)} ({len(ratios)} of {len(paired)})" if ratios else "-"
        effective = f"{sum(s.effective for s in runs) / len(runs):.1%}"
        mine = ["-", "-"] if name == "uniform" else [less, match]
        rows.append([name, str(len(runs)), accuracy, *mine, effective])
    return rows


def _stated(estimate: Estimate, sign: str = "", digits: int = 3) -> str:
    mean = f"{estimate.mean:{sign}.{digits}f}"
    return mean if estimate.high is None else f"{mean} ± {estimate.high - estimate.mean:.{digits}f}"
