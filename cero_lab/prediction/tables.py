"""The tables of docs/evidence.md: a row for each predictor, a column for each visit of each group of histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cero_lab.evidence.tables import lines
from cero_lab.prediction.history import History, histories, synthetic
from cero_lab.prediction.predictors import PREDICTORS, Maker
from cero_lab.prediction.scores import Score, scores

REGIMES = ("hard-one-visit", "hard-two-visits", "hard-seven-visits", "mixed-seven-visits", "easy-seven-visits")
SYNTHETIC = "synthetic"
_SAID = (0.0, 0.5, 0.9)  # correlations of the feature with the log-odds

Pool = Mapping[str, Sequence[History]]  # histories by what the columns call them
Found = Mapping[str, Mapping[str, Score]]  # scores by predictor and column


def pools(names: Sequence[str], folder: Path) -> dict[str, Pool]:
    """The histories of each table: recorded ones, as far as they are there, and synthetic ones.

    Args:
        names: of `REGIMES`, or `SYNTHETIC`.
        folder: of the recorded ones.
    """
    recorded = dict(histories(folder))
    found: dict[str, Pool] = {name: {"": recorded[name]} for name in names if name in recorded}
    if SYNTHETIC in names:
        found[SYNTHETIC] = {f"{said:g}: ": [synthetic(said=said, seed=seed) for seed in range(5)] for said in _SAID}
    return found


def found(pool: Pool, makers: Mapping[str, Maker] = PREDICTORS) -> Found:
    """Scores of everybody."""
    return {
        name: {
            f"{label}{visit} visit": score for label, of in pool.items() for visit, score in scores(make, of).items()
        }
        for name, make in makers.items()
    }


def table(of: Found) -> str:
    """In Markdown."""
    columns = list(dict.fromkeys(column for row in of.values() for column in row))
    body = [[name, *(_cell(row.get(column)) for column in columns)] for name, row in of.items()]
    return lines([["r, rmse, bias, slope", *columns], *body])


def _cell(of: Score | None) -> str:
    if of is None:
        return ""
    r, slope = (f"{value:.2f}" if np.isfinite(value) else "–" for value in (of.r, of.slope))
    return f"{r}, {of.rmse:.3f}, {of.bias:+.3f}, {slope}"
