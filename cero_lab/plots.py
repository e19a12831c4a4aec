"""The report's figures. Each takes runs by (allocator, seed) and draws on axes of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from cero_api.analysis.learning.curve import WINDOW, smoothed
from cero_api.analysis.report import PLOT_STYLE, RunSummary, color_of, draw_effective, draw_exposure, draw_spending
from cero_lab.history import History
from cero_lab.settings import DemoSettings

Histories = Mapping[tuple[str, int], History]


def draw_all(settings: DemoSettings, histories: Histories, folder: Path) -> dict[str, Path]:
    """Draw every figure.

    Args:
        settings: Of the comparison.
        histories: Of its runs, complete.
        folder: For the PNG files.

    Returns:
        Caption and file, in reading order.
    """
    figures: dict[str, tuple[str, Callable[[DemoSettings, Histories], Figure]]] = {
        "accuracy": (
            f"Held-out accuracy over rollouts. Faint: single evaluations; bold: mean of {WINDOW}.", _accuracy
        ),
        "effective": (
            "Effective groups (with both a success and a failure) over consumed budget, mean of 25 rounds. "
            "More of them is not yet a better model; the accuracy above is.", _effective
        ),
        "success": ("How many held-out prompts are solved how often, as training goes on.", _success),
        "exposure": (
            "Rollouts that each pool prompt got in all, as a share of prompts. R is the equal share.", _exposure
        ),
        "pacing": (
            "Budget: spending against the even schedule, and the budget's price. TRL generates the same number of "
            "rollouts in every round, so spending is even and the price has nothing to correct.",
            _pacing
        ),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, (caption, draw) in figures.items():
        with plt.rc_context(PLOT_STYLE):
            figure = draw(settings, histories)
            figure.savefig(folder / f"{name}.png", bbox_inches="tight")
            plt.close(figure)
        drawn[caption] = folder / f"{name}.png"
    return drawn


def _color(allocator: str, histories: Histories) -> str:
    return color_of(allocator, _allocators(histories))


def _summaries(settings: DemoSettings, histories: Histories) -> list[RunSummary]:
    """The runs as the plots of every trace take them."""
    return [
        RunSummary.of_rounds(
            allocator, ((r.step - 1, r.prompts, r.counts, r.successes) for r in history.rounds), settings.train.prompts
        )
        for (allocator, _), history in histories.items()
    ]


def _allocators(histories: Histories) -> list[str]:
    return list(dict.fromkeys(allocator for allocator, _ in histories))


def _of(allocator: str, histories: Histories) -> list[History]:
    return [history for (name, _), history in histories.items() if name == allocator]


def _label_ends(axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name each curve at its end, moved apart where the ends meet."""
    low, high = axes.get_ylim()
    gap, previous = 0.06 * (high - low), -np.inf
    for name, (x, y, color) in sorted(ends.items(), key=lambda item: item[1][1]):
        previous = max(y, previous + gap)
        axes.annotate(
            name, (x, y), xytext=(x, previous), color=color, va="center", fontweight="bold",
            textcoords="data", annotation_clip=False,
        ).set_position((x * 1.01, previous))  # fmt: skip


def _accuracy(settings: DemoSettings, histories: Histories) -> Figure:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    ends = {}
    for allocator in _allocators(histories):
        color, finals = _color(allocator, histories), []
        for history in _of(allocator, histories):
            rollouts = [e.rollouts for e in history.evaluations]
            sampled = [e.sampled for e in history.evaluations]
            axes.plot(rollouts, sampled, color=color, alpha=0.3, linewidth=1)
            axes.plot(rollouts, smoothed(sampled), color=color, linewidth=2.2)
            finals.append(smoothed(sampled)[-1])
        ends[allocator] = (rollouts[-1], float(np.mean(finals)), color)
    axes.set(xlabel="rollouts", ylabel="held-out accuracy (sampled)", title=f"Accuracy, pool {settings.pool}")
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
    axes.margins(x=0.02)
    _label_ends(axes, ends)
    return figure


def _effective(settings: DemoSettings, histories: Histories) -> Figure:
    figure, axes = plt.subplots(figsize=(7.5, 4))
    draw_effective(axes, _summaries(settings, histories), window=25)
    return figure


def _success(settings: DemoSettings, histories: Histories) -> Figure:
    names = _allocators(histories)
    figure, grid = plt.subplots(
        len(names), 3, figsize=(8.5, 1.2 + 2.0 * len(names)), sharex=True, sharey=True, squeeze=False
    )
    samples = settings.evaluation.samples
    bins = (np.arange(samples + 2) - 0.5) / samples
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
    grid[-1][1].set_xlabel(f"share of {samples} samples solved")
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


def _pacing(settings: DemoSettings, histories: Histories) -> Figure:
    figure, (spent_axes, price_axes) = plt.subplots(1, 2, figsize=(9.5, 3.6))
    draw_spending(spent_axes, _summaries(settings, histories))
    for allocator in _allocators(histories):
        for history in _of(allocator, histories):
            if all(r.price is not None for r in history.rounds):
                steps = [r.step for r in history.rounds]
                price_axes.plot(steps, [r.price for r in history.rounds], color=_color(allocator, histories))
    price_axes.set(xlabel="round", ylabel="budget price (normalized)", title="Price of the budget", ylim=(0, 1))
    figure.tight_layout()
    return figure
