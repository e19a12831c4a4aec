"""Trainings side by side: the table, the learning curves, and one HTML page of both."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cero_api.analysis.contest import Estimate, t95
from cero_api.analysis.learning import Interval, TrainingRecord, TrainingResult, curves
from cero_api.analysis.learning.compare import common_grid
from cero_api.analysis.report.figures import color_of
from cero_api.analysis.report.page import write_page

LEARNING_NOTES = (
    "Rollouts to match: what the mean curve takes to uniform's final accuracy, over what uniform takes (95% bootstrap "
    "over paired seeds); where it does not get there, one over what uniform takes to this one's final accuracy.",
    "Other ± are halves of 95% intervals by Student's t, differences seed by seed. Accuracies are means of three "
    "evaluations. Area: accuracy averaged over the training. Effective: groups with both a success and a failure. "
    "Signal: variance of the rewards in a rollout's group, mean over rollouts. Wall time: of a training, over "
    "uniform's, median over seeds.",
)


def learning_cells(label: str, result: TrainingResult) -> dict[str, str]:
    """One line of the table, as texts by heading.

    Args:
        label: of the trainings.
        result: their numbers.

    >>> from cero_api.analysis.learning import compare_trainings
    >>> run = TrainingRecord(label="cero", rollouts=[0, 640], accuracy=[0.1, 0.3])
    >>> learning_cells("cero", compare_trainings([run])["cero"])["final accuracy"]
    '0.200'
    """
    return {
        "allocator": label,
        "seeds": str(result.seeds),
        "rollouts to match": bounded(result.ratio, result.seeds),
        "final accuracy": stated(result.final),
        "less uniform's": stated(result.less, "+"),
        "area, less uniform's": stated(result.area_less, "+"),
        "effective": _text(result.effective, ".1%"),
        "signal": _text(result.signal, ".3f"),
        "steps": _text(result.steps, ",.0f"),
        "wall time": _text(result.pace, ".2f"),
        "in the allocator": _text(result.allocator_seconds, ".2f", " s"),
    }


def draw_learning(axes: Any, records: Sequence[TrainingRecord], shaded: Sequence[str] = ("uniform", "cero")) -> None:
    """Held-out accuracy over rollouts: means over seeds, and for some the 95% interval by Student's t.

    Args:
        axes: matplotlib's.
        records: of all trainings.
        shaded: labels whose interval is drawn.
    """
    grid = common_grid(records)
    labels = list(dict.fromkeys(record.label for record in records))
    for label in labels:
        mine = curves([record for record in records if record.label == label], grid)
        mean, color = mine.mean(0), color_of(label, labels)
        seeds = "1 seed" if len(mine) == 1 else f"{len(mine)} seeds"
        axes.plot(grid, mean, color=color, label=f"{label} ({seeds})", linewidth=1.8)
        if label in shaded and len(mine) > 1:
            half = t95(len(mine) - 1) * mine.std(0, ddof=1) / np.sqrt(len(mine))
            axes.fill_between(grid, mean - half, mean + half, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel="rollouts", ylabel="held-out accuracy")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.legend(frameon=False, fontsize=8)


def write_learning_report(
    records: Sequence[TrainingRecord],
    results: Mapping[str, TrainingResult],
    folder: str | os.PathLike[str],
    title: str = "Trainings at equal rollouts",
) -> Path:
    """Draw the learning curves and write one HTML page with the table.

    Args:
        records: of all trainings.
        results: what `compare_trainings` made of them.
        folder: made if need be; gets `index.html` and `learning.png`.
        title: of the page.

    Returns:
        The page, `folder/index.html`.

    Raises:
        ConfigurationError: no records, or records without common rollouts.
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    caption = "Held-out accuracy over rollouts, mean over seeds; shaded: 95% intervals of uniform and CERO."
    rows = [learning_cells(label, result) for label, result in results.items()]
    plots = {"learning": (caption, 4.5, _draw_curves)}
    return write_page(folder, title, rows, records, plots, (*LEARNING_NOTES, *learning_warnings(results)))


def _draw_curves(figure: Any, records: Sequence[TrainingRecord]) -> None:
    draw_learning(figure.subplots(), records)


def learning_warnings(results: Mapping[str, TrainingResult]) -> list[str]:
    """What the numbers cannot say: no baseline, few seeds.

    Args:
        results: by label.
    """
    warnings = []
    if all(result.ratio is None for result in results.values()):
        warnings.append("No seed of uniform is shared with another: nothing is compared.")
    few = [label for label, result in results.items() if result.seeds < 5]
    if few:
        warnings.append(f"Fewer than five seeds, which prove little: {', '.join(few)}.")
    return warnings


def stated(estimate: Estimate | None, sign: str = "") -> str:
    """A mean and half of its interval, as text; nothing for None.

    Args:
        estimate: the mean.
        sign: "+" to write the plus of a positive one.

    >>> stated(Estimate.of([1.0, 2.0, 3.0]))
    '2.000 ± 2.484'
    """
    if estimate is None:
        return ""
    mean = f"{estimate.mean:{sign}.3f}"
    return mean if estimate.high is None else f"{mean} ± {estimate.high - estimate.mean:.3f}"


def bounded(interval: Interval | None, seeds: int = 2) -> str:
    """A number and its interval, as text; without the interval for a single seed, nothing for None.

    Args:
        interval: the number.
        seeds: that it is of.

    >>> bounded(Interval(0.85, 0.81, 0.934))
    '0.85 [0.81, 0.93]'
    """
    if interval is None:
        return ""
    return f"{interval.value:.2f}" + (f" [{interval.low:.2f}, {interval.high:.2f}]" if seeds > 1 else "")


def _text(value: float | None, form: str, unit: str = "") -> str:
    return "" if value is None else f"{value:{form}}{unit}"
