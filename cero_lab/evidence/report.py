"""Everything that has been run: a table for each regime, and the plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from cero_api.analysis.learning import TrainingResult, compare_trainings
from cero_api.analysis.report.learning import LEARNING_NOTES, bounded, stated
from cero_lab.evidence.gains import gains, signals
from cero_lab.evidence.measures import pooled
from cero_lab.evidence.page import fill
from cero_lab.evidence.plots import draw_curves, draw_ratio, draw_signal
from cero_lab.evidence.record import Record, publish
from cero_lab.evidence.regimes import REGIMES
from cero_lab.evidence.runs import Runs, read_all
from cero_lab.evidence.served import served
from cero_lab.evidence.tables import lines, markdown
from cero_lab.evidence.variants import MAIN, RIVALS

HOW = " ".join(LEARNING_NOTES)

TOGETHER_HEADINGS = (
    "allocator",
    "paired runs",
    "rollouts to match",
    "final, less the other's",
    "area, less the other's",
)
# The value of knowing to whom; the rivals that come close; what the causes suggest against CERO as it is. And from
# which seed on. A candidate that was picked because of the first seeds is judged by others.
DUELS = (
    ("cero", "random-matched", 0),
    ("cero-batch", "knapsack", 0),
    ("cero-batch", "vip", 0),
    ("cero-batch", "cero", 0),
    ("cero-fixed", "cero", 0),
    ("cero-schedule", "cero", 0),
    ("cero-prior-0.5", "cero", 0),
    ("cero-prior-0.5", "cero", 10),
    ("cero-prior-2", "cero", 0),
    ("cero-saturation-0.25", "cero", 0),
    ("cero-saturation-0.25", "cero", 10),
    ("cero-saturation-4", "cero", 0),
    ("cero-step-0.5", "cero", 0),
    ("cero-step-0.5", "cero", 10),
    ("cero-marginal", "cero", 0),
    ("cero-marginal-saturation-0.25", "cero", 0),
    ("cero-forget-visit-0.5", "cero", 0),
    ("cero-forget-visit-0.5", "cero", 10),
    ("cero-forget-round-0.99", "cero", 0),
    ("cero-batch-prompt-weight", "cero-batch", 0),
    ("knapsack-prompt-weight", "knapsack", 0),
    ("cero-batch-floor-0", "cero-batch", 0),
    ("cero-batch-dual", "cero-batch", 0),
    ("cero-batch-saturation-4", "cero-batch", 0),
    ("cero-batch-forget-visit-0.5", "cero-batch", 0),
)

# Whose effective groups are followed through the training.
QUARTERS = ("uniform", "cero", "cero-prior-0.5", "cero-step-0.5", "cero-marginal", "cero-saturation-0.25")

# The regimes of the main table.
TOGETHER = ("hard", "mixed", "hard-few-visits")

# Whose ratios stand side by side in the overview of all regimes.
OVERVIEW = ("cero-batch", "cero", "knapsack", "vip", "random-matched")


def rows_of(runs: dict[str, dict[int, Record]]) -> dict[str, TrainingResult]:
    """The table of one regime."""
    return compare_trainings(record for records in runs.values() for record in records.values())


def report(folder: Path, figures: Path, console: Console, page: Path | None = None) -> None:
    """Print the tables and draw the plots.

    Args:
        folder: of the results.
        figures: for the plots, and with a page for the records, one file a regime, which `cero report` reads.
        console: for the tables.
        page: documentation to fill the tables into.
    """
    runs = read_all(folder)
    rows = {regime: rows_of(variants) for regime, variants in runs.items()}
    found = gains(runs, rows)
    blocks = {regime: f"{described(regime)}\n\n{markdown(rows[regime])}" for regime in runs}
    blocks |= {"together": together(runs, TOGETHER), "everywhere": together(runs, tuple(runs)), "duels": duels(runs)}
    blocks |= {
        "signal": signals(found),
        "quarters": quarters(runs),
        "overview": overview(rows),
        "how": HOW,
        "cost": cost(runs),
    }
    if TOGETHER[0] in runs:
        blocks["served"] = served(runs[TOGETHER[0]])
    for name, block in blocks.items():
        console.print(f"\n### {name}\n\n{block}", highlight=False, markup=False)
    drawn = [draw_curves(regime, variants, figures) for regime, variants in runs.items() if _paired(variants)]
    if drawn:
        drawn += [draw_ratio(rows, figures), draw_signal(found, figures)]
        console.print(f"\nPlots: {', '.join(str(path) for path in drawn)}", highlight=False, markup=False)
    if page is not None:
        for regime, variants in runs.items():
            publish([run for records in variants.values() for run in records.values()], figures / f"{regime}.json")
        console.print(f"\nFilled into {page}: {', '.join(fill(page, blocks))}", highlight=False, markup=False)


def cost(runs: Runs) -> str:
    """What all trainings took."""
    everything = [run for variants in runs.values() for records in variants.values() for run in records.values()]
    if not everything:
        return "No trainings."
    seconds, inside = np.median([(run.seconds, run.allocator_seconds) for run in everything], axis=0)
    return (
        f"{len(everything):,} trainings; median {seconds:.1f} s on one core, evaluations not included, of which the "
        f"allocator {inside:.2f} s."
    )


def described(regime: str) -> str:
    """The regime in one line."""
    place = REGIMES[regime]
    sizes = place.train
    return (
        f"`{regime}`: pool {place.pool} of {sizes.prompts} prompts, {sizes.rounds} optimiser steps of "
        f"{sizes.prompts_per_round} × {sizes.group_size} rollouts, {place.visits:.1f} visits a prompt, "
        f"{'Adam' if sizes.optimizer == 'adamw_torch' else 'SGD'} at {sizes.learning_rate:g}."
    )


def overview(rows: dict[str, dict[str, TrainingResult]]) -> str:
    """Rollouts to match in every regime, ordered by the share of effective groups under uniform."""
    table: list[Sequence[str]] = [("regime", "seeds", "uniform's accuracy", "effective, uniform", *OVERVIEW)]
    known = [name for name in rows if "uniform" in rows[name]]
    for name in sorted(known, key=lambda name: rows[name]["uniform"].effective or 0.0):
        base = rows[name]["uniform"]
        shown = [rows[name].get(label) for label in OVERVIEW]
        seeds = sorted({result.seeds for result in shown if result is not None})
        table.append(
            (
                name,
                " to ".join(str(end) for end in dict.fromkeys((seeds[0], seeds[-1]))) if seeds else str(base.seeds),
                f"{base.start:.3f} to {base.final.mean:.3f}",
                f"{base.effective:.1%}",
                *("" if result is None else bounded(result.ratio, result.seeds) for result in shown),
            )
        )
    return lines(table)


def together(runs: Runs, among: tuple[str, ...]) -> str:
    """Several regimes together: what stands in all of them against uniform."""
    regimes = [name for name in among if "uniform" in runs.get(name, {})]
    table: list[Sequence[str]] = [TOGETHER_HEADINGS]
    for name in (*MAIN, *RIVALS):
        if name != "uniform" and all(name in runs[regime] for regime in regimes):
            table.append(_compared(runs, regimes, name, "uniform"))
    return lines(table)


def duels(runs: Runs) -> str:
    """Pairs of variants against each other, on all regimes that have both."""
    headings = ("regimes", "allocator", "against", *TOGETHER_HEADINGS[1:])
    table: list[Sequence[str]] = [headings]
    for name, other, first in DUELS:
        later = {
            regime: {
                v: {seed: run for seed, run in runs[regime].get(v, {}).items() if seed >= first} for v in (name, other)
            }
            for regime in runs
        }
        regimes = [regime for regime, pair in later.items() if len(set(pair[name]) & set(pair[other])) > 1]
        if regimes:
            _, *numbers = _compared(later, regimes, name, other)
            table.append((str(len(regimes)), name + (f", seeds from {first}" if first else ""), other, *numbers))
    return lines(table)


def _compared(runs: Runs, regimes: list[str], name: str, base: str) -> tuple[str, ...]:
    pairs = [(runs[regime][name], runs[regime][base]) for regime in regimes]
    ratio, final, area = pooled(pairs)
    count = sum(len(set(mine) & set(other)) for mine, other in pairs)
    return name, str(count), bounded(ratio), stated(final, "+"), stated(area, "+")


def quarters(runs: Runs) -> str:
    """Share of effective groups in each quarter of the training, mean over seeds."""
    heads = ("regime", "allocator", "seeds", "first quarter", "second", "third", "last")
    table: list[Sequence[str]] = [heads]
    for regime in TOGETHER:
        for variant in QUARTERS:
            records = runs.get(regime, {}).get(variant)
            if not records:
                continue
            parts = np.mean([record.effective_by_part(4) for record in records.values()], axis=0)
            table.append((regime, variant, str(len(records)), *(f"{part:.0%}" for part in parts)))
    return lines(table)


def _paired(variants: dict[str, dict[int, Record]]) -> bool:
    return all(len(variants.get(name, ())) > 1 for name in ("uniform", "cero"))
