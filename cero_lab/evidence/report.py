"""Everything that has been run: a table for each regime, and the plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

from cero_api.analysis.learning import TrainingResult, by_regime, compare_over_regimes, compare_regimes
from cero_api.analysis.report.learning_table import LEARNING_NOTES, matched, stated
from cero_lab.evidence.gains import gains, signals
from cero_lab.evidence.page import fill
from cero_lab.evidence.plots import draw_curves, draw_ratio, draw_signal
from cero_lab.evidence.published import Published
from cero_lab.evidence.regimes import REGIMES
from cero_lab.evidence.served import served
from cero_lab.evidence.tables import lines, markdown
from cero_lab.evidence.variants import MAIN, RIVALS

HOW = " ".join(LEARNING_NOTES)
Records = Mapping[str, Sequence[Published]]  # by regime

TOGETHER_HEADINGS = (
    "allocator",
    "pairs",
    "rollouts to match",
    "along the curve",
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


def report(records: Iterable[Published], figures: Path, console: Console, page: Path | None = None) -> None:
    """Print the tables and draw the plots.

    Args:
        records: of all trainings.
        figures: folder for the plots.
        console: for the tables.
        page: documentation to fill the tables into.
    """
    regimes = by_regime(records)
    if not regimes:
        console.print("No trainings.")
        return
    rows = compare_regimes(record for mine in regimes.values() for record in mine).results
    found = gains(regimes, rows)
    blocks = {regime: f"{described(regime)}\n\n{markdown(rows[regime])}" for regime in regimes}
    blocks |= {
        "together": together(regimes, TOGETHER),
        "everywhere": together(regimes, tuple(regimes)),
        "duels": duels(regimes),
        "signal": signals(found),
        "quarters": quarters(regimes),
        "overview": overview(rows),
        "how": HOW,
        "cost": cost(regimes),
        "served": served(regimes.get(TOGETHER[0], ())),
    }
    # What older records do not say stands in no table, and what a page has of it stays.
    blocks = {name: block for name, block in blocks.items() if block}
    for name, block in blocks.items():
        console.print(f"\n### {name}\n\n{block}", highlight=False, markup=False)
    drawn = [draw_curves(regime, mine, figures) for regime, mine in regimes.items() if _paired(rows[regime])]
    if drawn:
        drawn += [draw_ratio(rows, figures), draw_signal(found, figures)]
        console.print(f"\nPlots: {', '.join(str(path) for path in drawn)}", highlight=False, markup=False)
    if page is not None:
        console.print(f"\nFilled into {page}: {', '.join(fill(page, blocks))}", highlight=False, markup=False)


def cost(regimes: Records) -> str:
    """What all trainings took."""
    timed = [
        (record.seconds, record.allocator_seconds)
        for records in regimes.values()
        for record in records
        if record.seconds is not None and record.allocator_seconds is not None
    ]
    if not timed:
        return ""
    seconds, inside = np.median(timed, axis=0)
    return (
        f"{len(timed):,} trainings; median {seconds:.1f} s on one core, evaluations not included, of which the "
        f"allocator {inside:.2f} s."
    )


def described(regime: str) -> str:
    """The regime in one line."""
    if regime not in REGIMES:
        return f"`{regime}`."
    place = REGIMES[regime]
    sizes = place.train
    return (
        f"`{regime}`: pool {place.pool} of {sizes.prompts} prompts, {sizes.rounds} optimiser steps of "
        f"{sizes.prompts_per_round} × {sizes.group_size} rollouts, {place.visits:.1f} visits a prompt, "
        f"{'Adam' if sizes.optimizer == 'adamw_torch' else 'SGD'} at {sizes.learning_rate:g}."
    )


def overview(rows: Mapping[str, Mapping[str, TrainingResult]]) -> str:
    """Rollouts to match along the curve in every regime, ordered by the share of effective groups under uniform."""
    table: list[Sequence[str]] = [("regime", "pairs", "uniform's accuracy", "effective, uniform", *OVERVIEW)]
    known = [name for name in rows if "uniform" in rows[name]]
    for name in sorted(known, key=lambda name: rows[name]["uniform"].effective or 0.0):
        base = rows[name]["uniform"]
        shown = [rows[name].get(label) for label in OVERVIEW]
        pairs = sorted({result.trainings for result in shown if result is not None})
        table.append(
            (
                name,
                " to ".join(str(end) for end in dict.fromkeys((pairs[0], pairs[-1]))) if pairs else str(base.trainings),
                f"{base.start:.3f} to {base.final.value:.3f}",
                "" if base.effective is None else f"{base.effective:.1%}",
                *(
                    matched(result.against.rollouts, along=True) if result and result.against else ""
                    for result in shown
                ),
            )
        )
    return lines(table)


def together(regimes: Records, among: tuple[str, ...]) -> str:
    """Several regimes together: what stands in all of them against uniform."""
    chosen = {name: regimes[name] for name in among if name in regimes}
    table: list[Sequence[str]] = [TOGETHER_HEADINGS]
    for name in (*MAIN, *RIVALS):
        numbers = _compared(chosen, name, "uniform")
        if name != "uniform" and numbers and numbers[0] == str(len(chosen)):
            table.append((name, *numbers[1:]))
    return lines(table)


def duels(regimes: Records) -> str:
    """Pairs of variants against each other, on all regimes that have both."""
    table: list[Sequence[str]] = [("regimes", "allocator", "against", *TOGETHER_HEADINGS[1:])]
    for name, other, first in DUELS:
        later = {regime: [record for record in records if record.seed >= first] for regime, records in regimes.items()}
        numbers = _compared(later, name, other)
        if numbers:
            table.append((numbers[0], name + (f", seeds from {first}" if first else ""), other, *numbers[1:]))
    return lines(table)


def _compared(regimes: Records, name: str, other: str) -> tuple[str, ...]:
    """Regimes, pairs and numbers of two variants, where there is more than one pair of them; empty if nowhere."""
    pairs = {
        regime: len(_pairs(records, name) & _pairs(records, other)) > 1 and name != other
        for regime, records in regimes.items()
    }
    both = {
        regime: [record for record in records if record.label in (name, other)]
        for regime, records in regimes.items()
        if pairs[regime]
    }
    found = compare_over_regimes(both, name, other)
    if found is None:
        return ()
    ratios = [matched(found.rollouts, along=along) for along in (False, True)]
    return str(found.regimes), str(found.pairs), *ratios, stated(found.less, "+"), stated(found.area_less, "+")


def _pairs(records: Iterable[Published], label: str) -> set[tuple[str, int]]:
    return {record.pair for record in records if record.label == label}


def quarters(regimes: Records) -> str:
    """Share of effective groups in each quarter of the training, mean over trainings; empty if no record says."""
    table: list[Sequence[str]] = [("regime", "allocator", "trainings", "first quarter", "second", "third", "last")]
    for regime in TOGETHER:
        for variant in QUARTERS:
            parts = [
                record.quarters
                for record in regimes.get(regime, ())
                if record.label == variant and record.quarters is not None
            ]
            if parts:
                shares = (f"{part:.0%}" for part in np.mean(parts, axis=0))
                table.append((regime, variant, str(len(parts)), *shares))
    return lines(table) if len(table) > 1 else ""


def _paired(results: Mapping[str, TrainingResult]) -> bool:
    cero = results.get("cero")
    return cero is not None and cero.against is not None and cero.trainings > 1
