"""Do 95% intervals of "rollouts to match" hold in 95%? Several ways to make them, on trainings whose truth is known.

    python benchmarks/coverage.py [--repeats 400] [--between 0.09] [--ratio 1.0] [--bent]

First simulated trainings: accuracy rises in a line (or, bent, fast and then slowly), at a pace whose logarithm differs
between starts by `--between`, and wanders as a seed's does in the published trainings, half of it shared by the pair.
Then uniform against uniform, which should be 1: published trainings of uniform, split at random, each regime a start.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cero_api.analysis.contest import t95
from cero_api.analysis.learning import by_regime, curves, log_ratios, read_trainings
from cero_lab.evidence.page import fill
from cero_lab.evidence.tables import table as markdown

Floats = NDArray[np.float64]
ROOT = Path(__file__).parents[1]
EVALUATIONS = 20
GAIN, WANDER = 0.08, 0.0144  # of uniform over a training, and a seed's standard deviation at its end
SIZES = ((1, 3), (1, 5), (1, 10), (3, 1), (3, 3), (3, 10), (5, 1), (5, 3), (5, 10), (10, 1), (10, 3), (10, 10))
MEASURES = ("at the end", "along the curve")
NORMAL = 1.959964


class Pairs(NamedTuple):
    """Trainings of two labels, float64 `[starts, seeds, points]` each."""

    mine: Floats
    base: Floats


class Bounds(NamedTuple):
    """Ends of the intervals of both measures, float64 `[2]` each."""

    low: Floats
    high: Floats


Draw = Callable[[np.random.Generator, int, int], Pairs]


def ratios(mine: Floats, base: Floats) -> Floats:
    """Log ratios of mean curves, at the end and along: float64 `[2, ...]` of `[..., points]`."""
    flat = mine.reshape(-1, mine.shape[-1]), base.reshape(-1, base.shape[-1])
    even = np.broadcast_to(np.arange(float(mine.shape[-1])), flat[0].shape)
    found = log_ratios(*flat, even, even)
    return np.array([found.end, found.along]).reshape(2, *mine.shape[:-1])


def of_starts(pairs: Pairs) -> Floats:
    """Log ratios of each start's mean curves, float64 `[2, starts]`."""
    return ratios(pairs.mine.mean(1), pairs.base.mean(1))


# Ways to make an interval; None where it needs more starts or seeds than there are.


def seeds_percentile(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Bounds | None:
    """As the first evidence did: pairs are drawn anew, wherever they are from, and 95% of their ratios kept."""
    starts, seeds, points = pairs.mine.shape
    n = starts * seeds
    if n == 1:
        return None
    weights = rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
    drawn = ratios(weights @ pairs.mine.reshape(n, points), weights @ pairs.base.reshape(n, points))
    return Bounds(*np.nanquantile(drawn, [0.025, 0.975], axis=1))


def both_percentile(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Bounds | None:
    """Starts are drawn anew, and of each its seeds."""
    if len(pairs.mine) == 1:
        return None
    return Bounds(*np.nanquantile(_drawn(pairs, rng, resamples), [0.025, 0.975], axis=1))


def both_student(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Bounds | None:
    """The standard deviation of the same, made larger for few starts, times Student's t."""
    starts = len(pairs.mine)
    if starts == 1:
        return None
    half = t95(starts - 1) * np.nanstd(_drawn(pairs, rng, resamples), axis=1) * (starts / (starts - 1)) ** 0.5
    middle = of_starts(pairs).mean(1)
    return Bounds(middle - half, middle + half)


def _drawn(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Floats:
    starts, seeds, _ = pairs.mine.shape
    chosen = rng.integers(starts, size=(resamples, starts))
    weights = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=(resamples, starts))[:, :, None] / seeds
    means = [(weights @ part[chosen])[:, :, 0] for part in pairs]
    return np.nanmean(ratios(means[0], means[1]), axis=2)


def seeds_jackknife(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Bounds | None:
    """Each start's seeds left out one by one, pseudo-values and Student's t: what is used for a single start."""
    starts, seeds, _ = pairs.mine.shape
    if seeds == 1:
        return None
    weights = (1 - np.eye(seeds)) / (seeds - 1)
    without = ratios(weights @ pairs.mine, weights @ pairs.base)  # [2, starts, seeds]
    variance = without.var(2).mean(1) * (seeds - 1) / starts
    half = t95(starts * (seeds - 1)) * np.sqrt(variance)
    middle = of_starts(pairs).mean(1)
    return Bounds(middle - half, middle + half)


def starts_student(pairs: Pairs, rng: np.random.Generator, resamples: int) -> Bounds | None:
    """Mean of the starts' log ratios and Student's t: what is used for several starts."""
    logs = of_starts(pairs)
    starts = logs.shape[1]
    if starts == 1:
        return None
    half = t95(starts - 1) * logs.std(1, ddof=1) / starts**0.5
    return Bounds(logs.mean(1) - half, logs.mean(1) + half)


WAYS = {
    "bootstrap over seeds, percentiles (as before)": seeds_percentile,
    "jackknife over seeds, t (used for one start)": seeds_jackknife,
    "bootstrap over starts and seeds, percentiles": both_percentile,
    "bootstrap over starts and seeds, t": both_student,
    "t over starts (used for several)": starts_student,
}


# What intervals are made of


def simulated(between: float, log_ratio: float, bent: bool) -> Draw:
    """Trainings whose pace is known."""
    times = np.linspace(0, 1, EVALUATIONS + 1)

    def rise(time: Floats) -> Floats:
        return (1 - np.exp(-2 * time)) / (1 - np.exp(-2)) if bent else time

    def walk(rng: np.random.Generator, *shape: int) -> Floats:
        steps = rng.normal(0, WANDER / EVALUATIONS**0.5, (*shape, EVALUATIONS))
        return np.concatenate([np.zeros((*shape, 1)), steps.cumsum(-1)], -1)

    def draw(rng: np.random.Generator, starts: int, seeds: int) -> Pairs:
        pace = np.exp(-log_ratio - rng.normal(0, between, (starts, 1, 1)))
        gain = GAIN * np.exp(rng.normal(0, 0.2, (starts, 1, 1)))
        shared = walk(rng, starts, seeds)
        mine, base = ((shared + walk(rng, starts, seeds)) * 0.5**0.5 for _ in range(2))
        return Pairs(gain * rise(times * pace) + mine, gain * rise(times) + base)

    return draw


def published(folder: Path) -> tuple[Draw, int, int]:
    """Uniform against itself, and for how many starts and seeds it is enough."""
    uniform = [
        curves([record for record in records if record.label == "uniform"])
        for records in by_regime(read_trainings([folder])).values()
    ]
    uniform = [rows for rows in uniform if rows.shape[1] == EVALUATIONS + 1]

    def draw(rng: np.random.Generator, starts: int, seeds: int) -> Pairs:
        chosen = [uniform[i] for i in rng.permutation(len(uniform))[:starts]]
        halves = [rows[rng.permutation(len(rows))[: 2 * seeds]] for rows in chosen]
        return Pairs(np.array([half[:seeds] for half in halves]), np.array([half[seeds:] for half in halves]))

    return draw, len(uniform), min(map(len, uniform)) // 2


def table(draw: Draw, truth: float, sizes: list[tuple[int, int]], repeats: int, resamples: int) -> list[dict[str, str]]:
    """How often each way's interval holds the truth, and how long it is (median, of the logarithm)."""
    rows = [{"measure": measure, "interval": way} for measure in MEASURES for way in WAYS]
    for starts, seeds in sizes:
        rng = np.random.default_rng((starts, seeds))
        held: dict[str, list[tuple[NDArray[np.bool_], Floats]]] = {way: [] for way in WAYS}
        for _ in range(repeats):
            pairs = draw(rng, starts, seeds)
            for way, make in WAYS.items():
                bounds = make(pairs, rng, resamples)
                if bounds is not None:
                    inside = (bounds.low <= truth + 1e-12) & (truth - 1e-12 <= bounds.high)
                    held[way].append((inside, bounds.high - bounds.low))
        for row in rows:
            found, at = held[row["interval"]], MEASURES.index(row["measure"])
            cell = ""
            if found:
                share = np.mean([inside[at] for inside, _ in found])
                cell = f"{share:.0%}, {np.nanmedian([length[at] for _, length in found]):.2f}"
            row[f"{starts} × {seeds}"] = cell
    return rows


def along(rows: list[dict[str, str]]) -> str:
    """What a page shows of a table: the measure to trust."""
    kept = [row for row in rows if row["measure"] == MEASURES[1]]
    return markdown([{name: cell for name, cell in row.items() if name != "measure"} for row in kept])


def main() -> None:
    """Print both tables, write them as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=400, help="at 400, a cell that is truly 95% is 93% to 97%")
    parser.add_argument("--resamples", type=int, default=400, help="of a bootstrap")
    parser.add_argument("--between", type=float, default=0.09, help="standard deviation of log ratios between starts")
    parser.add_argument("--ratio", type=float, default=1.0, help="that is true")
    parser.add_argument("--bent", action="store_true", help="curves that rise fast and then slowly")
    parser.add_argument("--records", type=Path, default=ROOT / "docs" / "evidence", help="of published trainings")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "coverage.json")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the tables into")
    options = parser.parse_args()
    truth = float(np.log(options.ratio))
    print("Starts × seeds: how often the 95% interval holds the true ratio, and its length (of the logarithm).\n")
    known = simulated(options.between, truth, options.bent)
    rows = table(known, truth, list(SIZES), options.repeats, options.resamples)
    print(f"Simulated, ratio {options.ratio:g}, starts differ by {options.between:g}:\n\n{markdown(rows)}\n")
    draw, starts, seeds = published(options.records)
    sizes = [(s, n) for s, n in SIZES if s <= starts and n <= seeds]
    null = table(draw, 0.0, sizes, options.repeats, options.resamples)
    print(f"Uniform against uniform, {starts} published regimes:\n\n{markdown(null)}")
    if options.page is not None:
        blocks = {"coverage": along(rows), "coverage-null": along(null)}
        print(f"\nFilled into {options.page}: {', '.join(fill(options.page, blocks))}")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps({"simulated": rows, "uniform against uniform": null}, indent=2) + "\n")


if __name__ == "__main__":
    main()
