r"""How well CERO's proxy predicts: expected group variance before a round against the variance then observed.

    python benchmarks/proxy_quality.py [--runs benchmarks/results/sample_efficiency] [--bins 20] [--seed 0]

Reads the runs of `benchmarks/sample_efficiency.py`, or where there are none the means that were published of them, and
replays their posteriors: for every group the prediction
$\hat q = ab/((a+b)(a+b+1))$ by what the run had seen before, and the unbiased variance $\frac{S(n-S)}{n(n-1)}$ of the
group's rewards, which $\hat q$ predicts for every size n (Prop. 1 of arXiv 2610.09679).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cero_api.mathematics.posterior import variance_proxy
from cero_lab.evidence.page import fill
from cero_lab.evidence.plots import draw_proxy
from cero_lab.evidence.record import Record, group_variance
from cero_lab.evidence.regimes import REGIMES
from cero_lab.evidence.runs import read_all

PUBLISHED = Path(__file__).parents[1] / "docs" / "evidence" / "proxy" / "quality.json"
PAPER = "| the paper (arXiv 2610.09679) | | 0.971 | 0.769 | 0.154 | 0.119 | +0.035 | |"


@dataclass(frozen=True)
class Groups:
    """Groups of one run, in order, visits of a prompt before the first left out.

    Args:
        round: int64 `[G]`.
        predicted: float64 `[G]`, before the round.
        observed: float64 `[G]`, unbiased variance of the group's rewards.
    """

    round: NDArray[np.int64]
    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]


def groups_of(record: Record) -> Groups:
    """Replay a run's posteriors, Beta(1, 1) before the first visit and nothing forgotten."""
    (won, given), (n, s) = record.seen, record.groups
    known = (n > 1) & (given > 0)
    rounds = np.repeat(np.arange(len(record.counts)), list(map(len, record.counts)))
    return Groups(rounds[known], variance_proxy(1 + won, 1 + given - won)[known], group_variance(n, s)[known])


@dataclass(frozen=True)
class Quality:
    """Correlations and means of one regime and variant, over the groups of all seeds.

    Attributes:
        by_bins: correlation of the means of equally filled bins of the prediction.
        over_time: correlation of the means of twentieths of the training.
        early: mean prediction less mean observation in the first half, and `late` in the second.
    """

    seeds: int
    by_bins: float
    over_time: float
    predicted: float
    observed: float
    early: float
    late: float
    bins: NDArray[np.float64]
    times: NDArray[np.float64]


def quality(runs: Iterable[Groups], bins: int) -> Quality:
    """Compare predictions with observations.

    Args:
        runs: one per seed.
        bins: how many of equally many groups, and how many parts of the training.
    """
    runs = list(runs)
    moment = np.concatenate([g.round for g in runs])
    predicted = np.concatenate([g.predicted for g in runs])
    observed = np.concatenate([g.observed for g in runs])
    by_bins = _means(np.argsort(predicted, kind="stable"), predicted, observed, bins)
    over_time = _means(np.argsort(moment, kind="stable"), predicted, observed, bins)
    half = moment < (moment.max() + 1) / 2
    error = predicted - observed
    return Quality(
        seeds=len(runs),
        by_bins=float(np.corrcoef(*by_bins)[0, 1]),
        over_time=float(np.corrcoef(*over_time)[0, 1]),
        predicted=float(predicted.mean()),
        observed=float(observed.mean()),
        early=float(error[half].mean()) if half.any() else float("nan"),
        late=float(error[~half].mean()) if not half.all() else float("nan"),
        bins=by_bins,
        times=over_time,
    )


def _means(
    order: NDArray[np.int64], predicted: NDArray[np.float64], observed: NDArray[np.float64], bins: int
) -> NDArray[np.float64]:
    """Mean prediction and observation of equally filled parts, float64 `[2, bins]`."""
    parts = np.array_split(order, bins)
    return np.array([[predicted[part].mean() for part in parts], [observed[part].mean() for part in parts]])


def write(found: Mapping[str, Quality], path: Path) -> None:
    """What the table and the plot need, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {
        name: asdict(q) | {"bins": q.bins.round(6).tolist(), "times": q.times.round(6).tolist()}
        for name, q in found.items()
    }
    path.write_text(json.dumps(told) + "\n")


def read(path: Path) -> dict[str, Quality]:
    """What `write` wrote."""
    told = json.loads(path.read_text())
    return {
        name: Quality(**q | {"bins": np.array(q["bins"]), "times": np.array(q["times"])}) for name, q in told.items()
    }


def signed(value: float) -> str:
    """For the table; a half without second visits has nothing to state."""
    return "–" if np.isnan(value) else f"{value:+.3f}"


def main() -> None:
    """Print the table and draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    results = Path(__file__).parent / "results"
    parser.add_argument("--runs", type=Path, default=results / "sample_efficiency")
    parser.add_argument("--bins", type=int, default=20)
    parser.add_argument("--variants", default="uniform,cero")
    parser.add_argument("--drawn", default="hard,mixed", help="regimes to plot")
    parser.add_argument("--figures", type=Path, default=results)
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="means; written with --page")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    runs = read_all(options.runs)
    found = {
        f"{regime}, {variant}": quality(map(groups_of, records.values()), options.bins)
        for regime in REGIMES
        for variant in options.variants.split(",")
        if (records := runs.get(regime, {}).get(variant, {}))
    }
    if found and options.page is not None:
        write(found, options.published)
    elif not found and options.published.exists():
        found = read(options.published)
    if not found:
        raise SystemExit(f"no runs in {options.runs}, and no {options.published}; run benchmarks/sample_efficiency.py")
    lines = [
        "| regime, allocator | seeds | r by bins | r over time | predicted | observed | bias | first half, second |",
        f"|{' --- |' * 8}",
    ]
    lines += [
        f"| {name} | {q.seeds} | {q.by_bins:.3f} | {q.over_time:.3f} | {q.predicted:.3f} | {q.observed:.3f} | "
        f"{q.predicted - q.observed:+.3f} | {signed(q.early)}, {signed(q.late)} |"
        for name, q in found.items()
    ]
    table = "\n".join([*lines, PAPER])
    print(table)
    drawn = {name: (q.bins, q.times) for name, q in found.items() if name.partition(",")[0] in options.drawn.split(",")}
    if drawn:
        print(f"\nPlot: {draw_proxy(drawn, options.figures)}")
    if options.page is not None:
        print(f"Filled into {options.page}: {', '.join(fill(options.page, {'proxy': table}))}")


if __name__ == "__main__":
    main()
