"""The table: what the default saves through each trainer, beside what it saves in the fast training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cero_api.analysis.learning import (
    TrainingRecord,
    TrainingResult,
    compare_regimes,
    compare_trainings,
    read_trainings,
)
from cero_api.analysis.report import learning_cells
from cero_lab.evidence.tables import table
from cero_lab.grid.regimes import REGIMES

_DOCS = Path(__file__).parents[2] / "docs" / "evidence"
PUBLISHED, GRID = _DOCS / "through", _DOCS / "grid"
FAST = {"uniform": "uniform", "window-8-features": "default"}  # the default as the grid's trainings call it
NAMES = {"trl": "TRL", "verl": "verl", "openrlhf": "OpenRLHF"}

_RATIOS = ("rollouts to match", "along the curve", "tokens to match", "tokens, along")


def blocks(records: Sequence[TrainingRecord], grid: Path = GRID) -> dict[str, str]:
    """Tables in Markdown, by the name of their place in the documentation.

    Args:
        records: as they are published, of regimes called by trainer and regime.
        grid: the fast training's published records.
    """
    results, fast = compare_regimes(records).results if records else {}, _fast(grid)
    rows = []
    for regime in REGIMES:
        for trainer in NAMES:
            made = results.get(f"{trainer}-{regime}", {})
            if "uniform" in made and "default" in made:
                name = (f"{trainer}-{regime}", "default")
                pairs = {record.pair for record in records if (record.regime, record.label) == name}
                same = [record for record in fast if record.regime == regime and record.pair in pairs]
                rows.append(_row(trainer, regime, made, same))
    return {"through": table(rows) if rows else "No trainings."}


def _row(
    trainer: str, regime: str, results: Mapping[str, TrainingResult], same: Sequence[TrainingRecord]
) -> dict[str, str]:
    uniform, default = (learning_cells(label, results[label]) for label in ("uniform", "default"))
    beside = compare_trainings(same) if same else {}
    fast = learning_cells("default", beside["default"]) if "default" in beside else dict.fromkeys(_RATIOS, "")
    return {
        "regime": regime,
        "trainer": NAMES[trainer],
        "trainings": default["trainings"],
        **{name: default[name] for name in _RATIOS},
        "the fast training on the same starts and seeds": fast["rollouts to match"],
        "along it": fast["along the curve"],
        "final accuracy, uniform; default": f"{uniform['final accuracy']}; {default['final accuracy']}",
        "less uniform's": default["less baseline's"],
        "effective groups": f"{uniform['effective']}; {default['effective']}",
    }


def _fast(folder: Path) -> list[TrainingRecord]:
    return [
        record.model_copy(update={"label": FAST[record.label]})
        for record in read_trainings([folder])
        if record.label in FAST
    ]
