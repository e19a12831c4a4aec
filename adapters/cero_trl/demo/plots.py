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

from cero_trl.demo.history import History
from cero_trl.demo.settings import DemoSettings
from cero_trl.demo.summary import WINDOW, smoothed

Histories = Mapping[tuple[str, int], History]

# Okabe and Ito: told apart with any color vision, and in gray.
_COLORS = {"uniform": "#555555", "cero": "#0072B2"}
_OTHERS = ["#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_STYLE = {
    "figure.dpi": 130,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
}


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
            "Budget: spending against the uniform schedule, and the budget's price. TRL generates the same number "
            "of rollouts in every round, so here the price can only rank prompts, never skip a round.", _pacing
        ),
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    drawn = {}
    for name, (caption, draw) in figures.items():
        with plt.rc_context(_STYLE):
            figure = draw(settings, histories)
            figure.savefig(folder / f"{name}.png", bbox_inches="tight")
            plt.close(figure)
        drawn[caption] = folder / f"{name}.png"
    return drawn


def _color(allocator: str, histories: Histories) -> str:
    names = [name for name in dict.fromkeys(a for a, _ in histories) if name not in _COLORS]
    return _COLORS.get(allocator) or _OTHERS[names.index(allocator) % len(_OTHERS)]


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
    ends, width = {}, min(25, settings.train.rounds)
    for allocator in _allocators(histories):
        color, finals = _color(allocator, histories), []
        for history in _of(allocator, histories):
            rate = np.array([r.effective / len(r.counts) for r in history.rounds])
            mean = np.convolve(rate, np.full(width, 1 / width), mode="valid")
            share = np.array([r.rollouts for r in history.rounds])[width - 1 :] / settings.train.budget
            axes.plot(share, mean, color=color, linewidth=1.8)
            finals.append(mean[-1])
        ends[allocator] = (1.0, float(np.mean(finals)), color)
    axes.set(xlabel="share of the budget consumed", ylabel="effective groups", title="Effective-group rate")
    axes.set_ylim(0, min(1.0, axes.get_ylim()[1] * 1.15))
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    _label_ends(axes, ends)
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
    prompts = settings.train.prompts
    share = settings.train.budget / prompts
    for allocator in _allocators(histories):
        for index, history in enumerate(_of(allocator, histories)):
            given = np.sort(exposure(history, prompts)) / share
            axes.step(
                np.r_[0, given], np.r_[0, np.arange(1, prompts + 1) / prompts], where="post",
                color=_color(allocator, histories), linewidth=2, label=allocator if index == 0 else None,
            )  # fmt: skip
    axes.axvline(1, color="#999999", linestyle=":", linewidth=1)
    axes.set(
        xlabel=f"rollouts of a prompt, in units of R = budget / prompts = {share:.0f}",
        ylabel="share of prompts with at most this", title="Exposure",
    )  # fmt: skip
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="lower right", labelcolor="linecolor")
    return figure


def _pacing(settings: DemoSettings, histories: Histories) -> Figure:
    figure, (spent_axes, price_axes) = plt.subplots(1, 2, figsize=(9.5, 3.6))
    rounds, budget = settings.train.rounds, settings.train.budget
    spent_axes.plot([0, rounds], [0, 1], color="#999999", linestyle=":", linewidth=3, label="uniform schedule")
    for allocator in _allocators(histories):
        color = _color(allocator, histories)
        for index, history in enumerate(_of(allocator, histories)):
            steps = [r.step for r in history.rounds]
            label = allocator if index == 0 else None
            spent_axes.plot(steps, [r.rollouts / budget for r in history.rounds], color=color, label=label)
            if all(r.price is not None for r in history.rounds):
                price_axes.plot(steps, [r.price for r in history.rounds], color=color, label=label)
    spent_axes.set(xlabel="round", ylabel="share of the budget spent", title="Spending")
    spent_axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    spent_axes.legend(frameon=False, labelcolor="linecolor")
    price_axes.set(xlabel="round", ylabel="budget price (normalized)", title="Price of the budget", ylim=(0, 1))
    figure.tight_layout()
    return figure
