"""The report's figures. Each draws what was asked for on a figure of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cero_api.analysis.learning import Comparison, TrainingRecord, compare_trainings, curves
from cero_api.analysis.learning.curve import WINDOW, common_grid, token_curves
from cero_api.analysis.report import PLOT_STYLE, RunSummary, color_of, draw_effective, draw_exposure, matched
from cero_lab.history import History
from cero_lab.settings import DemoSettings

Histories = Mapping[tuple[str, str, int], History]  # by allocator, start and seed


def draw_all(
    settings: DemoSettings, histories: Histories, comparison: Comparison, folder: Path
) -> list[tuple[str, Path]]:
    """Draw every figure.

    Args:
        settings: Of the comparison.
        histories: Of its runs, complete.
        comparison: Of the same runs.
        folder: For the PNG files.

    Returns:
        Caption and file, in reading order.
    """
    figures: dict[str, tuple[str, Callable[[], Figure]]] = {
        "saving": (
            f"Held-out accuracy over rollouts and over tokens. Faint: single trainings, mean of {WINDOW} evaluations; "
            "bold: their mean. Dotted: uniform's accuracy at the end.", lambda: _saving(comparison)
        ),
        "effective": (
            "Effective groups (with both a success and a failure) over consumed budget, mean of 10 rounds. "
            "More of them is not yet a better model; the accuracy above is.", lambda: _effective(settings, histories)
        ),
        "success": (
            "How many held-out prompts are solved how surely, as training goes on.", lambda: _success(histories)
        ),
        "exposure": (
            "Rollouts that each pool prompt got in all, as a share of prompts. R is the equal share.",
            lambda: _exposure(settings, histories)
        ),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (caption, draw) in figures.items():
        with plt.rc_context(PLOT_STYLE):
            figure = draw()
            figure.savefig(folder / f"{name}.png", bbox_inches="tight")
            plt.close(figure)
        drawn.append((caption, folder / f"{name}.png"))
    return drawn


def _color(allocator: str, histories: Histories) -> str:
    return color_of(allocator, _allocators(histories))


def _summaries(settings: DemoSettings, histories: Histories) -> list[RunSummary]:
    """The runs as the plots of every trace take them."""
    return [
        RunSummary.of_rounds(
            allocator, ((r.step - 1, r.prompts, r.counts, r.successes) for r in history.rounds), settings.train.prompts
        )
        for (allocator, *_), history in histories.items()
    ]


def _allocators(histories: Histories) -> list[str]:
    return list(dict.fromkeys(allocator for allocator, *_ in histories))


def _of(allocator: str, histories: Histories) -> list[History]:
    return [history for (name, *_), history in histories.items() if name == allocator]


def draw_saving(
    axes: Axes, records: Sequence[TrainingRecord], baseline: str = "uniform", over: str = "rollouts"
) -> None:
    """Held-out accuracy over what was spent: faint each training, bold their mean, and what that saves in the legend.

    Args:
        axes: Of the panel.
        records: Of all trainings of one regime.
        baseline: Label that the others are compared with; a dotted line is its accuracy at the end.
        over: "rollouts" or "tokens".
    """
    results = compare_trainings(records, baseline)
    for label, result in results.items():
        own = [record for record in records if record.label == label]
        grid = common_grid(own)
        heights = curves(own, grid)
        spent = np.broadcast_to(grid, heights.shape) if over == "rollouts" else token_curves(own, grid)
        if spent is None:
            continue
        color, told = color_of(label, results), result.against
        match = None if told is None else told.rollouts if over == "rollouts" else told.tokens
        ratio = f": {matched(match, along=True)} of {baseline}'s {over}" if match else ""
        if len(own) > 1:
            axes.plot(spent.T, heights.T, color=color, alpha=0.25, linewidth=0.8)
        axes.plot(spent.mean(0), heights.mean(0), color=color, linewidth=2.2, label=f"{label}{ratio}")
        if label == baseline:
            axes.axhline(heights[:, -1].mean(), color=color, linestyle=":", linewidth=1)
    axes.set(xlabel=over)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    low, high = axes.get_ylim()
    axes.set(xlim=(0, None), ylim=(low, high + 0.2 * (high - low)))  # room for the legend
    axes.legend(frameon=False, loc="upper left", labelcolor="linecolor", fontsize=9)


def _saving(comparison: Comparison) -> Figure:
    """What was learned from how many rollouts, and from how many tokens."""
    (records,) = comparison.records.values()
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    for axes, over in zip(panels, ("rollouts", "tokens"), strict=True):
        draw_saving(axes, records, comparison.baseline, over)
    panels[0].set(ylabel="held-out accuracy")
    figure.tight_layout()
    return figure


def _effective(settings: DemoSettings, histories: Histories) -> Figure:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    draw_effective(axes, _summaries(settings, histories), window=10)
    return figure


def _success(histories: Histories) -> Figure:
    names, bins = _allocators(histories), np.linspace(0, 1, 11)
    figure, grid = plt.subplots(
        len(names), 3, figsize=(8.5, 1.2 + 2.0 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    for row, allocator in zip(grid, names, strict=True):
        runs = _of(allocator, histories)
        for axes, where in zip(row, (0.0, 0.5, 1.0), strict=True):
            picked = [h.evaluations[round(where * (len(h.evaluations) - 1))] for h in runs]
            rates = np.concatenate([e.rates for e in picked])
            axes.hist(
                rates, bins, weights=np.full(rates.size, 1 / rates.size), color=_color(allocator, histories),
                rwidth=0.85,
            )  # fmt: skip
            axes.set_title(f"{allocator}, {picked[0].rollouts:,} rollouts", fontsize=9)
            axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
        row[0].set_ylabel("held-out prompts")
    grid[-1][1].set_xlabel("probability of the right answer")
    figure.tight_layout()
    return figure


def exposure(history: History, prompts: int) -> NDArray[np.int64]:
    """Rollouts that each pool prompt got, int64 `[prompts]`."""
    total = np.zeros(prompts, dtype=np.int64)
    for dealt in history.rounds:
        np.add.at(total, dealt.prompts, dealt.counts)
    return total


def _exposure(settings: DemoSettings, histories: Histories) -> Figure:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    draw_exposure(axes, _summaries(settings, histories))
    return figure
