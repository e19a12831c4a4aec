"""The tables that the documentation shows."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.evidence.measures import Interval, Row
from cero_api.contest import Estimate

HEADINGS = (
    "allocator", "seeds", "rollouts to match", "final accuracy", "less uniform's", "area, less uniform's", "effective",
    "wall time", "in the allocator",
)  # fmt: skip

HOW = (
    "Rollouts to match: what the mean curve takes to uniform's final accuracy, over what uniform takes (95% bootstrap "
    "over paired seeds); where it does not get there, one over what uniform takes to this one's final accuracy. Other "
    "± are halves of 95% intervals by Student's t, differences seed by seed. Area: accuracy averaged over training. "
    "Effective: groups with both a success and a failure. Wall time: of the training, over "
    "uniform's, median over seeds."
)


def cells(name: str, row: Row) -> list[str]:
    """One line of the table."""
    ratio = "" if row.ratio is None else bounded(row.ratio)
    return [
        name,
        str(row.seeds),
        ratio,
        stated(row.final),
        stated(row.less, "+"),
        stated(row.area_less, "+"),
        f"{row.effective:.1%}",
        "" if row.pace is None else f"{row.pace:.2f}",
        f"{row.allocator_seconds:.2f} s",
    ]


def markdown(rows: Mapping[str, Row]) -> str:
    """A table in Markdown."""
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(cells(name, row) for name, row in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bounded(interval: Interval) -> str:
    """A number and its interval."""
    return f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def stated(estimate: Estimate | None, sign: str = "") -> str:
    """A mean and half of its interval; nothing for None."""
    if estimate is None:
        return ""
    mean = f"{estimate.mean:{sign}.3f}"
    return mean if estimate.high is None else f"{mean} ± {estimate.high - estimate.mean:.3f}"
