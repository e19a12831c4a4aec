"""Plots of all runs: accuracy over rollouts in each regime, and where the method pays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from cero_api.analysis.learning import Interval, TrainingRecord, TrainingResult
from cero_api.analysis.report import PLOT_STYLE, color_of, draw_learning
from cero_lab.evidence.gains import Gain
from cero_lab.evidence.regimes import BASE, REGIMES, SMALL
from cero_lab.evidence.variants import MAIN

Points = NDArray[np.float64]

# Fixed identifiers and no date: the same results give the same file.
_STABLE = {"svg.hashsalt": "cero-api", "svg.fonttype": "path"}


def draw_curves(regime: str, records: Sequence[TrainingRecord], folder: Path) -> Path:
    """Held-out accuracy over rollouts: mean over starts or seeds and its 95% interval.

    Args:
        regime: its name.
        records: of all its trainings; those of the main table and the closest rival are drawn.
        folder: for the file.
    """
    shown = [record for name in (*MAIN, "vip") for record in records if record.label == name]
    with plt.rc_context(PLOT_STYLE | _STABLE):
        figure, axes = plt.subplots(figsize=(6.4, 3.8))
        draw_learning(axes, shown)
        axes.set(title=regime)
        return _save(figure, folder / f"curves-{regime}.svg")


def draw_ratio(rows: Mapping[str, Mapping[str, TrainingResult]], folder: Path) -> Path:
    """Rollouts to match along the curve, over the share of effective groups under uniform.

    Regimes that differ from one another by the pool alone are joined to a curve with intervals; the others are hollow.

    Args:
        rows: by regime and variant.
        folder: for the file.
    """
    with plt.rc_context(PLOT_STYLE | _STABLE):
        figure, axes = plt.subplots(figsize=(6.4, 3.8))
        axes.axhline(1, color=color_of("uniform", ["uniform"]), linewidth=1)
        # A little apart, so that intervals of one regime do not cover one another.
        for name, marker, aside in (("cero", "o", 0.0), ("cero-batch", "s", 0.006)):
            color = color_of(name, MAIN)
            for joined in (True, False):
                points = _points(rows, name, joined)
                x, y = [share + aside for _, share, _ in points], [ratio.value for _, _, ratio in points]
                if not joined:
                    axes.plot(x, y, marker, color=color, markerfacecolor="none", markersize=5, alpha=0.8)
                    continue
                ends = [[r.value - r.low for _, _, r in points], [r.high - r.value for _, _, r in points]]
                axes.errorbar(x, y, ends, fmt=f"{marker}-", color=color, capsize=2, linewidth=1.2, label=name)
                for regime, share, ratio in points if name == "cero" else ():
                    axes.annotate(regime, (share, ratio.value), xytext=(-5, 4), ha="right", textcoords="offset points",
                                  fontsize=8)  # fmt: skip
        axes.set(
            xlabel="share of effective groups under uniform", ylabel="rollouts to match, along the curve",
            title="Where the method pays: below 1 it saves rollouts",
        )  # fmt: skip
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=8)
        return _save(figure, folder / "ratio.svg")


def _points(
    rows: Mapping[str, Mapping[str, TrainingResult]], name: str, by_pool_alone: bool
) -> list[tuple[str, float, Interval]]:
    """Regime, share of effective groups under uniform, and ratio of one variant, by the share."""
    found = []
    for regime, variants in rows.items():
        mine, base = variants.get(name), variants.get("uniform")
        alone = regime in REGIMES and REGIMES[regime].train == BASE and REGIMES[regime].model == SMALL
        match = mine.against.rollouts if mine is not None and mine.against is not None else None
        if match and base and base.effective is not None and alone == by_pool_alone:
            found.append((regime, base.effective, match.along))
    return sorted(found, key=lambda point: point[1])


def draw_signal(gains: Sequence[Gain], folder: Path) -> Path:
    """Rollouts to match along the curve, over the signal of a rollout, both against uniform's.

    Args:
        gains: of all variants in all regimes.
        folder: for the file.
    """
    with plt.rc_context(PLOT_STYLE | _STABLE):
        figure, axes = plt.subplots(figsize=(6.4, 4.2))
        axes.axhline(1, color="#999999", linewidth=1)
        axes.axvline(1, color="#999999", linewidth=1)
        kinds = ((False, "s", "#D55E00", "a batch is shared out"), (True, "o", "#0072B2", "the pool is chosen from"))
        for pool, marker, color, label in kinds:
            chosen = [gain for gain in gains if gain.pool == pool]
            x, y = [gain.signal for gain in chosen], [gain.ratio for gain in chosen]
            axes.scatter(x, y, marker=marker, color=color, s=22, alpha=0.8, label=label)
        axes.set(
            xlabel="variance of a rollout's group, over uniform's",
            ylabel="rollouts to match, along the curve",
            title="Signal and what comes of it: one point a variant and regime",
        )
        axes.legend(frameon=False, fontsize=8)
        return _save(figure, folder / "signal.svg")


def draw_proxy(means: Mapping[str, tuple[Points, Points]], folder: Path) -> Path:
    """Predicted against observed group variance: by bins of the prediction, and over the training.

    Args:
        means: for each label, float64 `[2, bins]` by bins and `[2, parts]` over time: predicted, then observed.
        folder: for the file.
    """
    with plt.rc_context(PLOT_STYLE | _STABLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
        left.plot([0, 0.25], [0, 0.25], color="#999999", linewidth=1)
        for i, (label, (bins, times)) in enumerate(means.items()):
            left.plot(*bins, "o-", color=f"C{i}", markersize=3, linewidth=1, label=label)
            share = (np.arange(times.shape[1]) + 0.5) / times.shape[1]
            right.plot(share, times[0], "--", color=f"C{i}", linewidth=1)
            right.plot(share, times[1], "-", color=f"C{i}", linewidth=1.4)
        left.set(xlabel="predicted variance", ylabel="observed variance", title="By bins of the prediction")
        right.set(xlabel="share of the training", ylabel="variance", title="Over time: predicted dashed")
        right.set_ylim(bottom=0)
        left.legend(frameon=False, fontsize=6)
        figure.tight_layout()
        return _save(figure, folder / "proxy.svg")


def _save(figure: plt.Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return path
