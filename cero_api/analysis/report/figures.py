"""What each figure shows; the axes are matplotlib's and the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.report.summary import BANDS, RunSummary
from cero_api.analysis.text import plain_text, plot_label
from cero_api.extras import load_extra

# Okabe and Ito: told apart with any color vision, and in gray.
_COLORS = {"uniform": "#555555", "cero": "#0072B2"}
_OTHERS = ("#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C564B", "#B8A000")
PLOT_STYLE = {
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


def color_of(label: str, labels: Iterable[str]) -> str:
    """Color of a run among all that are drawn together.

    >>> color_of("uniform", ["uniform", "vip"]), color_of("vip", ["uniform", "vip"])
    ('#555555', '#D55E00')
    """
    others = [other for other in dict.fromkeys(labels) if other not in _COLORS]
    return _COLORS.get(label) or _OTHERS[others.index(label) % len(_OTHERS)]


def draw_exposure(axes: Any, runs: Sequence[RunSummary]) -> None:
    """Distribution of the prompts' rollouts, in units of the equal share R = rollouts / prompts.

    Args:
        axes: matplotlib's.
        runs: of a pool each.
    """
    for run, color, label in _legend(runs):
        share = run.budget / run.num_prompts
        given, others = np.sort(run.exposure) / share, run.num_prompts - run.exposure.size
        places = np.r_[0, others + np.arange(given.size + 1)]
        axes.step(np.r_[0, 0, given], places / run.num_prompts, where="post", color=color, lw=2, label=label)
    axes.axvline(1, color="#999999", linestyle=":", linewidth=1)
    shares = {f"{run.budget / run.num_prompts:.4g}" for run in runs}
    unit = f" = {shares.pop()} rollouts" if len(shares) == 1 else ""
    axes.set(
        xlabel=f"rollouts of a prompt, in units of R{unit}",
        ylabel="share of prompts with at most this",
        title="Exposure",
    )
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    axes.set_xlim(left=0)
    axes.legend(frameon=False, loc="lower right", labelcolor="linecolor")


def draw_effective(axes: Any, runs: Sequence[RunSummary], window: int | None = None) -> None:
    """Effective-group rate over consumed budget.

    Args:
        axes: matplotlib's.
        runs: of equal budgets, if they are to be compared.
        window: rounds whose groups are pooled; None is a twentieth of the run's.
    """
    _draw_ratio(axes, runs, window, lambda run: (run.effective, run.groups))
    axes.set(ylabel="effective groups", title="Effective-group rate")
    axes.set_ylim(0, min(1.0, 1.15 * axes.get_ylim()[1]))
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")


def draw_signal(axes: Any, runs: Sequence[RunSummary], window: int | None = None) -> None:
    """Signal, the mean variance of the rewards in a rollout's group, over consumed budget.

    Args:
        axes: matplotlib's.
        runs: of equal budgets, if they are to be compared.
        window: rounds whose rollouts are pooled; None is a twentieth of the run's.
    """
    _draw_ratio(axes, runs, window, lambda run: (run.signal, run.rollouts))
    axes.set(ylabel="variance of a rollout's group", title="Signal")
    axes.set_ylim(bottom=0)


def _draw_ratio(
    axes: Any,
    runs: Sequence[RunSummary],
    window: int | None,
    parts: Callable[[RunSummary], tuple[IntArray | FloatArray, IntArray]],
) -> None:
    """A sum of every round over another, both pooled over a window, by consumed budget."""
    for run, color, label in _legend(runs):
        width = min(window or max(run.rounds.size // 20, 1), run.rounds.size)
        above, below = parts(run)
        rate = _moving_sum(above, width) / np.maximum(_moving_sum(below, width), 1)
        consumed = np.cumsum(run.rollouts)[width - 1 :] / run.budget
        marker = "o" if consumed.size == 1 else None  # a line of one point is none
        axes.plot(consumed, rate, color=color, linewidth=1.8, label=label, marker=marker)
    axes.set(xlabel="share of the budget consumed", xlim=(0, 1))
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.legend(frameon=False, labelcolor="linecolor")


def draw_spending(axes: Any, runs: Sequence[RunSummary]) -> None:
    """Share of the budget that is spent after each round, beside an even schedule."""
    last = max(int(run.rounds[-1]) for run in runs) + 1
    axes.plot([0, last], [0, 1], color="#999999", linestyle=":", linewidth=3, label="even schedule")
    for run, color, label in _legend(runs):
        axes.plot(run.rounds + 1, np.cumsum(run.rollouts) / run.budget, color=color, label=label)
    axes.set(xlabel="round", ylabel="share of the budget spent", title="Spending")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    axes.legend(frameon=False, labelcolor="linecolor")


def _draw_pacing(figure: Any, runs: Sequence[RunSummary]) -> None:
    spent, ahead = figure.subplots(1, 2)
    draw_spending(spent, runs)
    for run, color, label in _legend(runs):
        ahead.plot(run.rounds + 1, _ahead(run), color=color, label=label)
    ahead.axhline(0, color="#999999", linestyle=":", linewidth=3)
    ahead.set(xlabel="round", ylabel="rollouts", title="Ahead of an even schedule")
    ahead.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}")


def _draw_success(figure: Any, runs: Sequence[RunSummary]) -> None:
    """One panel per run: up to 40 equal shares of the budget across, groups by their success rate as layers."""
    columns = min(len(runs), 3)
    grid = figure.subplots(-(-len(runs) // columns), columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(runs) :]:
        axes.set_visible(False)
    for axes, run in zip(grid.flat, runs, strict=False):
        slots = min(40, run.rounds.size)
        slot = np.minimum((np.cumsum(run.rollouts) - run.rollouts) * slots // run.budget, slots - 1)
        groups = np.zeros((slots, len(BANDS)))
        np.add.at(groups, slot, run.bands)
        filled = groups.sum(axis=1) > 0
        axes.set(title=plot_label(run.name, 72 // (columns + 1)), xlim=(0, 1), ylim=(0, 1))
        if not filled.any():  # a run without a single reward
            continue
        shares = np.cumsum(groups[filled] / groups[filled].sum(axis=1, keepdims=True), axis=1).T
        left = (np.arange(slots) / slots)[filled]
        below = np.zeros(left.size)
        for share, (name, color) in zip(shares, BANDS.items(), strict=True):
            axes.fill_between(np.r_[left, 1], np.r_[below, below[-1]], np.r_[share, share[-1]], step="post",
                              color=color, label=name, linewidth=0)  # fmt: skip
            below = share
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
    for axes in grid[-1]:
        axes.set_xlabel("share of the budget consumed")
    for row in grid:
        row[0].set_ylabel("groups")
    handles, names = grid[0][0].get_legend_handles_labels()
    figure.legend(
        handles[::-1], names[::-1], title="solved", loc="outside right upper", frameon=False, alignment="left"
    )


def _ahead(run: RunSummary) -> FloatArray:
    """Rollouts spent after each round beyond an even schedule."""
    even = (run.rounds + 1) * run.budget / (int(run.rounds[-1]) + 1)
    return np.asarray(np.cumsum(run.rollouts) - even)


class Figure(NamedTuple):
    """A figure of the report."""

    caption: str
    height: Callable[[int], float]  # inches, by the number of runs
    draw: Callable[[Any, Sequence[RunSummary]], None]
    tells: Callable[[Sequence[RunSummary]], bool]  # whether these runs have anything to show in it


FIGURES: dict[str, Figure] = {
    "pacing": Figure(
        "Spending over the rounds, and how far it is ahead of an even schedule.",
        lambda _: 3.6,
        _draw_pacing,
        # Rounds of an exact total, as a loader's batches are, are an even schedule: there is nothing to see.
        lambda runs: any(2 * np.abs(_ahead(run)).max() >= run.budget / run.rounds.size for run in runs),
    ),
    "exposure": Figure(
        "Rollouts that each prompt of the pool got in all, as a share of prompts. R is the equal share.",
        lambda _: 4.0,
        lambda figure, runs: draw_exposure(figure.subplots(), runs),
        lambda runs: True,
    ),
    "success": Figure(
        "Groups by the share of their rollouts that succeeded, as the budget is consumed. Only those between none and "
        "all have contrast.",
        lambda runs: 0.6 + 3.0 * -(-runs // 3),
        _draw_success,
        lambda runs: any(run.bands.any() for run in runs),
    ),
    "effective": Figure(
        "Effective groups (whose rewards differ) over consumed budget, pooled over a twentieth of the "
        "rounds. More of them is not yet a better model.",
        lambda _: 4.0,
        lambda figure, runs: draw_effective(figure.subplots(), runs),
        lambda runs: any(run.bands.any() for run in runs),
    ),
    "signal": Figure(
        "Signal (the variance of the rewards in a rollout's group, mean over rollouts) over consumed budget, pooled "
        "alike.",
        lambda _: 4.0,
        lambda figure, runs: draw_signal(figure.subplots(), runs),
        lambda runs: any(run.bands.any() for run in runs),
    ),
}


def say_plainly(figure: Any) -> None:
    """Take what is written on a figure as it stands: no formula between dollars, no control characters.

    Args:
        figure: matplotlib's, drawn; the numbers at its axes are left to their formatters.
    """
    text = load_extra("matplotlib.text", "plot").Text
    ticks = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in (*axis.get_ticklabels(which="both"), axis.get_offset_text())
    }
    for said in figure.findobj(text):
        if id(said) not in ticks:
            said.set_parse_math(False)
            said.set_text(plain_text(said.get_text(), lines=True))


def _legend(runs: Sequence[RunSummary]) -> Iterator[tuple[RunSummary, str, str | None]]:
    """Runs with their color, and their label where it is the first of its kind."""
    labels = [run.label for run in runs]
    for at, run in enumerate(runs):
        yield run, color_of(run.label, labels), plot_label(run.label) if labels.index(run.label) == at else None


def _moving_sum(values: IntArray | FloatArray, width: int) -> FloatArray:
    total = np.concatenate([[0.0], np.cumsum(values)])
    moved: FloatArray = total[width:] - total[:-width]
    return moved
