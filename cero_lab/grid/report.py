"""Tables of a grid: each regime by itself, and what changes from regime to regime."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from rich.console import Console

from cero_api.analysis.learning import TrainingRecord, TrainingResult, compare_regimes
from cero_api.analysis.report import learning_cells
from cero_lab.evidence.page import fill
from cero_lab.evidence.published import write_regimes
from cero_lab.evidence.tables import markdown, table
from cero_lab.grid.regimes import regime_of
from cero_lab.grid.variants import CEILINGS

# What the overview shows of every variant; the tables of the regimes have the rest.
_SHOWN = ("rollouts to match", "along the curve", "tokens to match", "tokens, along")

Results = Mapping[str, Mapping[str, TrainingResult]]  # by regime and variant


def report(
    records: Iterable[TrainingRecord], console: Console, page: Path | None = None, mark: str = "grid overview"
) -> None:
    """Print the tables.

    Args:
        records: of all trainings.
        console: for the tables.
        page: documentation to fill them into, between marks named "grid REGIME" and that of the overview.
        mark: of the overview.
    """
    everything = list(records)
    if not everything:
        console.print("No trainings.")
        return
    results = compare_regimes(everything, oracle=CEILINGS).results
    blocks = {f"grid {regime}": f"{described(regime)}\n\n{markdown(rows)}" for regime, rows in results.items()}
    blocks[mark] = overview(results)
    for name, block in blocks.items():
        console.print(f"\n### {name}\n\n{block}", highlight=False, markup=False)
    if page is not None:
        console.print(f"\nFilled into {page}: {', '.join(fill(page, blocks))}", highlight=False, markup=False)


def described(regime: str) -> str:
    """The regime in one line."""
    place = regime_of(regime)
    sizes = place.train
    return (
        f"`{regime}`: pool {place.pool} of {sizes.prompts} prompts, {sizes.rounds} optimiser steps of "
        f"{sizes.prompts_per_round} × {sizes.group_size} rollouts, {place.visits:.1f} visits a prompt, model "
        f"{place.model}, {'Adam' if sizes.optimizer == 'adamw_torch' else 'SGD'} at {sizes.learning_rate:g}."
    )


def overview(results: Results) -> str:
    """What of a variant changes with the regime: one line for each of the two."""
    rows = []
    for regime, variants in results.items():
        for label, result in variants.items():
            if result.against is not None:
                cells = learning_cells(label, result)
                names = {"regime": regime, "allocator": label, "trainings": cells["trainings"]}
                rows.append({**names, **{name: cells[name] for name in _SHOWN}})
    return table(rows) if rows else "No variant has a uniform one beside it."


def publish(records: Iterable[TrainingRecord], folder: Path) -> list[Path]:
    """Write what the tables need of trainings, one file a regime.

    Args:
        records: of all trainings.
        folder: for the files.
    """
    fields = set(TrainingRecord.model_fields)
    return write_regimes((TrainingRecord(**record.model_dump(include=fields)) for record in records), folder)
