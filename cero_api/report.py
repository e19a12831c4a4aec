"""Plots and one HTML page from the traces of runs: how the budget was spent, on whom, and what came back.

Drawing needs matplotlib (extra `plot`), which is imported when something is drawn.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray, IntArray
from cero_api.errors import ConfigurationError, TraceError
from cero_api.extras import load_extra
from cero_api.trace import TraceReader

# Groups by the share of their rollouts that succeeded, with the colors of the plot.
BANDS = {
    "none": "#3B3B3B",
    "below 1/3": "#F4A582",
    "1/3 to 2/3": "#FFD92F",
    "above 2/3": "#92C5DE",
    "all": "#BBBBBB",
}

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
_PAGE_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, .left { text-align: left }
th { border-bottom: 2px solid #888; vertical-align: bottom }
figure { margin: 2rem 0 } img { max-width: 100% } figcaption, .note { color: #555; font-size: .9rem; max-width: 46rem }
.lost { color: #b00020; font-weight: 600 } details { margin-top: 2rem } pre { overflow-x: auto; font-size: .8rem }
"""


@dataclass(frozen=True, eq=False)
class RunSummary:
    """What the plots need of a run: sums per round and per prompt.

    Args:
        label: what it is called in legends; runs of equal label share a color.
        num_prompts: of the pool, M; those that were ever offered where the pool is not known.
        rounds: int64 `[K]`, numbers of the rounds in which rollouts were given.
        rollouts: int64 `[K]`.
        groups: int64 `[K]`, prompts that got rollouts.
        effective: int64 `[K]`, of those, with both a success and a failure.
        successes: float64 `[K]`.
        bands: int64 `[K, 5]`, groups by the share of their rollouts that succeeded, see `BANDS`.
        exposure: int64 `[M]`, rollouts of each prompt, in any order.
        note: what was wrong with the file, None if nothing.
    """

    label: str
    num_prompts: int
    rounds: IntArray
    rollouts: IntArray
    groups: IntArray
    effective: IntArray
    successes: FloatArray
    bands: IntArray
    exposure: IntArray
    note: str | None = None

    @property
    def budget(self) -> int:
        """Rollouts in all."""
        return int(self.rollouts.sum())

    def numbers(self) -> dict[str, Any]:
        """The row of the page's table."""
        return {
            "run": self.label,
            "rounds": int(self.rounds.size),
            "rollouts": self.budget,
            "prompts": self.num_prompts,
            "never served": int(np.count_nonzero(self.exposure == 0)),
            "groups": int(self.groups.sum()),
            "effective groups": float(self.effective.sum() / self.groups.sum()),
            "success rate": float(self.successes.sum() / self.budget),
        }

    @classmethod
    def of_rounds(
        cls,
        label: str,
        rounds: Iterable[tuple[int, ArrayLike, ArrayLike, ArrayLike]],
        num_prompts: int,
    ) -> RunSummary:
        """From rounds in memory.

        Args:
            label: of the run.
            rounds: (number, rows `[P]`, counts `[P]`, successes `[P]`) of each.
            num_prompts: of the pool, M.

        >>> run = RunSummary.of_rounds("cero", [(0, [0, 2], [4, 2], [1, 2])], num_prompts=3)
        >>> run.effective, run.exposure
        (array([1]), array([4, 0, 2]))
        """
        tally = _Tally()
        for number, rows, counts, successes in rounds:
            count, won = np.asarray(counts, dtype=np.int64), np.asarray(successes, dtype=np.float64)
            tally.add(np.full(count.size, number), np.asarray(rows, dtype=np.int64), count, won, count - won)
        return tally.summary(label, num_prompts, None)

    @classmethod
    def of_trace(
        cls, path: str | os.PathLike[str], label: str | None = None, progress: Callable[[float], None] | None = None
    ) -> RunSummary:
        """From a trace, in memory that grows with its rounds and prompts, not with its lines.

        Args:
            path: of the file.
            label: None is the allocator of the trace's metadata, or the file's name.
            progress: called with the share of the file that is read.

        Raises:
            TraceError: the file is no trace, or has a bad line.
        """
        reader, tally = TraceReader(path), _Tally()
        for columns in reader.columns():
            tally.add(columns.round, columns.row, columns.count, columns.successes, columns.failures)
            if progress is not None:
                progress(reader.fraction)
        if label is None:
            label = str(reader.header.metadata.get("allocator") or Path(path).name)
        summary = tally.summary(label, reader.header.num_prompts or len(reader.keys), reader.torn)
        if not summary.rounds.size:
            raise TraceError(f"{path} has not one round with rollouts; give the trace of a run")
        return summary


class _Tally:
    def __init__(self) -> None:
        self._parts: list[tuple[IntArray, FloatArray]] = []  # round numbers, and sums by round
        self._exposure = np.zeros(0, dtype=np.int64)

    def add(self, round: IntArray, row: IntArray, count: IntArray, won: FloatArray, lost: FloatArray) -> None:
        given = count > 0
        round, row, count, won, lost = round[given], row[given], count[given], won[given], lost[given]
        if not round.size:
            return
        size = max(int(row.max()) + 1, self._exposure.size)
        self._exposure = np.pad(self._exposure, (0, size - self._exposure.size))
        self._exposure += np.bincount(row, weights=count, minlength=size).astype(np.int64)
        scored = won + lost
        band = np.where(won <= 0, 0, np.where(lost <= 0, 4, 1 + (3 * won >= scored) + (3 * won > 2 * scored)))
        numbers, place = np.unique(round, return_inverse=True)

        def total(weights: NDArray[Any] | None = None) -> FloatArray:
            return np.bincount(place, weights, minlength=numbers.size).astype(np.float64)

        seen = scored > 0
        cells = (place * len(BANDS) + band)[seen]
        bands = np.bincount(cells, minlength=numbers.size * len(BANDS)).reshape(numbers.size, len(BANDS))
        mixed = (won > 0) & (lost > 0)
        columns = [total(count), total(), total(mixed.astype(np.float64)), total(won)]
        self._parts.append((numbers, np.column_stack([*columns, bands])))

    def summary(self, label: str, num_prompts: int, note: str | None) -> RunSummary:
        if self._parts:
            numbers = np.concatenate([part[0] for part in self._parts])
            sums = np.concatenate([part[1] for part in self._parts])
            # A round may lie across two blocks.
            starts = np.flatnonzero(np.diff(numbers, prepend=-1))
            numbers, sums = numbers[starts], np.add.reduceat(sums, starts, axis=0)
        else:
            numbers, sums = np.zeros(0, dtype=np.int64), np.zeros((0, 4 + len(BANDS)))
        whole = sums.astype(np.int64)
        num_prompts = max(num_prompts, self._exposure.size)
        return RunSummary(
            label=label,
            num_prompts=num_prompts,
            rounds=numbers.astype(np.int64),
            rollouts=whole[:, 0],
            groups=whole[:, 1],
            effective=whole[:, 2],
            successes=sums[:, 3],
            bands=whole[:, 4:],
            exposure=np.pad(self._exposure, (0, num_prompts - self._exposure.size)),
            note=note,
        )


def write_report(runs: Sequence[RunSummary], folder: str | os.PathLike[str], title: str = "Rollout allocation") -> Path:
    """Draw the figures as PNG files and write one HTML page that holds them all.

    Args:
        runs: at least one; of one training, or of several to compare.
        folder: made if need be.
        title: of the page.

    Returns:
        The page, `folder/index.html`.

    Raises:
        ConfigurationError: no runs.
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    if not runs:
        raise ConfigurationError("no runs to report on; give at least one")
    matplotlib, figure_type = load_extra("matplotlib", "plot"), load_extra("matplotlib.figure", "plot").Figure
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = [_summary_table(runs)]
    for name, (caption, height, draw) in _FIGURES.items():
        with matplotlib.rc_context(PLOT_STYLE):
            figure = figure_type(figsize=(9.0, height(len(runs))), layout="constrained")
            draw(figure, runs)
            figure.savefig(folder / f"{name}.png")
        parts.append(html_figure(caption, folder / f"{name}.png"))
    notes = [f"{run.label}: {run.note}" for run in runs if run.note is not None]
    notes.append("Shares of groups do not say what was learned from them; compare held-out accuracy for that.")
    parts += [f'<p class="note">{escape(note)}</p>' for note in notes]
    page = folder / "index.html"
    page.write_text(html_page(title, "\n".join(parts)), encoding="utf-8")
    return page


def html_page(title: str, body: str) -> str:
    """A page that needs nothing but itself."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_PAGE_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def html_figure(caption: str, file: Path) -> str:
    """A PNG file, embedded, over its caption."""
    data, text = base64.b64encode(file.read_bytes()).decode(), escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


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
        given = np.sort(run.exposure) / share
        axes.step(np.r_[0, given], np.arange(given.size + 1) / given.size, where="post", color=color, lw=2, label=label)
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
    for run, color, label in _legend(runs):
        width = min(window or max(run.rounds.size // 20, 1), run.rounds.size)
        rate = _moving_sum(run.effective, width) / np.maximum(_moving_sum(run.groups, width), 1)
        consumed = np.cumsum(run.rollouts)[width - 1 :] / run.budget
        axes.plot(consumed, rate, color=color, linewidth=1.8, label=label)
    axes.set(xlabel="share of the budget consumed", ylabel="effective groups", title="Effective-group rate")
    axes.set_ylim(0, min(1.0, 1.15 * axes.get_ylim()[1]))
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.yaxis.set_major_formatter(lambda y, _: f"{y:.0%}")
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
        even = (run.rounds + 1) * run.budget / (int(run.rounds[-1]) + 1)
        ahead.plot(run.rounds + 1, np.cumsum(run.rollouts) - even, color=color, label=label)
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
        shares = np.cumsum(groups[filled] / groups[filled].sum(axis=1, keepdims=True), axis=1).T
        left = (np.arange(slots) / slots)[filled]
        below = np.zeros(left.size)
        for share, (name, color) in zip(shares, BANDS.items(), strict=True):
            axes.fill_between(np.r_[left, 1], np.r_[below, below[-1]], np.r_[share, share[-1]], step="post",
                              color=color, label=name, linewidth=0)  # fmt: skip
            below = share
        axes.set(title=run.label, xlim=(0, 1), ylim=(0, 1))
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


_FIGURES: dict[str, tuple[str, Callable[[int], float], Callable[[Any, Sequence[RunSummary]], None]]] = {
    "pacing": ("Spending over the rounds, and how far it is ahead of an even schedule.", lambda _: 3.6, _draw_pacing),
    "exposure": (
        "Rollouts that each prompt of the pool got in all, as a share of prompts. R is the equal share.",
        lambda _: 4.0,
        lambda figure, runs: draw_exposure(figure.subplots(), runs),
    ),
    "success": (
        "Groups by the share of their rollouts that succeeded, as the budget is consumed. Only those between none and "
        "all have contrast.",
        lambda runs: 0.6 + 3.0 * -(-runs // 3),
        _draw_success,
    ),
    "effective": (
        "Effective groups (with both a success and a failure) over consumed budget, pooled over a twentieth of the "
        "rounds. More of them is not yet a better model.",
        lambda _: 4.0,
        lambda figure, runs: draw_effective(figure.subplots(), runs),
    ),
}


def _summary_table(runs: Sequence[RunSummary]) -> str:
    def text(value: object) -> str:
        return f"{value:.1%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    heads = "".join(f"<th>{head}</th>" for head in runs[0].numbers())
    rows = ("".join(f"<td>{escape(text(cell))}</td>" for cell in run.numbers().values()) for run in runs)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table>"


def _legend(runs: Sequence[RunSummary]) -> Iterator[tuple[RunSummary, str, str | None]]:
    """Runs with their color, and their label where it is the first of its kind."""
    labels = [run.label for run in runs]
    for at, run in enumerate(runs):
        yield run, color_of(run.label, labels), run.label if labels.index(run.label) == at else None


def _moving_sum(values: IntArray, width: int) -> IntArray:
    total = np.concatenate([[0], np.cumsum(values)])
    moved: IntArray = total[width:] - total[:-width]
    return moved
