"""Everything that has been run: a table for each regime, and the plots."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from benchmarks.evidence.measures import Row, row
from benchmarks.evidence.plots import draw_curves, draw_ratio
from benchmarks.evidence.record import Record, load
from benchmarks.evidence.regimes import REGIMES
from benchmarks.evidence.tables import HOW, markdown
from benchmarks.evidence.variants import VARIANTS, run_settings

Runs = dict[str, dict[str, dict[int, Record]]]  # regime, variant, seed


def read_all(folder: Path) -> Runs:
    """Every result whose settings are the current ones."""
    runs: Runs = {}
    for regime in REGIMES:
        for variant in VARIANTS:
            for path in sorted((folder / regime).glob(f"{variant}-seed*.json")):
                seed = int(path.stem.rpartition("seed")[2])
                found = load(path)
                if found is None or load(path, run_settings(regime, variant, seed, found.settings.start)) is None:
                    continue
                runs.setdefault(regime, {}).setdefault(variant, {})[seed] = found
    return runs


def rows_of(runs: dict[str, dict[int, Record]]) -> dict[str, Row]:
    """The table of one regime."""
    uniform = runs.get("uniform", {})
    return {variant: row(records, uniform) for variant, records in runs.items()}


def report(folder: Path, figures: Path, console: Console) -> None:
    """Print the tables and draw the plots.

    Args:
        folder: of the results.
        figures: for the plots.
        console: for the tables.
    """
    runs = read_all(folder)
    rows = {regime: rows_of(variants) for regime, variants in runs.items()}
    for regime in runs:
        place = REGIMES[regime]
        sizes = place.train
        console.print(
            f"\n### {regime}\n\npool {place.pool} of {sizes.prompts} prompts, {sizes.rounds} steps of "
            f"{sizes.prompts_per_round} x {sizes.group_size} rollouts, {place.visits:.1f} visits a prompt, "
            f"{sizes.optimizer} at {sizes.learning_rate:g}\n",
            highlight=False, markup=False,
        )  # fmt: skip
        console.print(markdown(rows[regime]), highlight=False, markup=False)
    console.print(f"\n{HOW}", highlight=False, markup=False)
    drawn = [draw_curves(regime, variants, figures) for regime, variants in runs.items() if _paired(variants)]
    if drawn:
        drawn.append(draw_ratio(rows, figures))
        console.print(f"\nPlots: {', '.join(str(path) for path in drawn)}", highlight=False, markup=False)


def _paired(variants: dict[str, dict[int, Record]]) -> bool:
    return all(len(variants.get(name, ())) > 1 for name in ("uniform", "cero"))
