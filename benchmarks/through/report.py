"""The tables: what the default saves through each trainer, beside what it saves in the fast training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cero_api.analysis.learning import TrainingRecord, TrainingResult, compare_regimes, read_trainings
from cero_api.analysis.report import learning_cells
from cero_lab.evidence.tables import table
from cero_lab.grid.regimes import REGIMES

_DOCS = Path(__file__).parents[2] / "docs" / "evidence"
PUBLISHED, GRID = _DOCS / "through", _DOCS / "grid"
FAST = {"uniform": "uniform", "window-8-features": "default"}  # the default as the grid's trainings call it
FIRST_START = 5  # of those that had no part in choosing the default
NAMES = {"fast": "none (`grid.py`)", "trl": "TRL", "verl": "verl", "openrlhf": "OpenRLHF"}

_RATIOS = ("rollouts to match", "along the curve", "tokens to match", "tokens, along")


def blocks(records: Sequence[TrainingRecord], grid: Path = GRID) -> dict[str, str]:
    """Tables in Markdown, by the name of their place in the documentation.

    Args:
        records: as they are published, of regimes called by trainer and regime.
        grid: the fast training's published records.
    """
    results = compare_regimes([*records, *_fast(grid)]).results
    rows = [
        _row(trainer, regime, results[f"{trainer}-{regime}"])
        for regime in REGIMES
        for trainer in NAMES
        if "default" in results.get(f"{trainer}-{regime}", {})
        and any(record.regime.endswith(regime) for record in records)
    ]
    return {"through": table(rows) if rows else "No trainings."}


def _row(trainer: str, regime: str, results: Mapping[str, TrainingResult]) -> dict[str, str]:
    uniform, default = (learning_cells(label, results[label]) for label in ("uniform", "default"))
    return {
        "regime": regime,
        "trainer": NAMES[trainer],
        "trainings": default["trainings"],
        **{name: default[name] for name in _RATIOS},
        "final accuracy, uniform; default": f"{uniform['final accuracy']}; {default['final accuracy']}",
        "less uniform's": default["less baseline's"],
        "effective groups": f"{uniform['effective']}; {default['effective']}",
    }


def _fast(folder: Path) -> list[TrainingRecord]:
    return [
        record.model_copy(update={"label": FAST[record.label], "regime": f"fast-{record.regime}"})
        for record in read_trainings([folder])
        if record.label in FAST and int(str(record.start).rpartition("-")[2]) >= FIRST_START
    ]
