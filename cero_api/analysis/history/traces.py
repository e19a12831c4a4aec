"""Histories from traces."""

from __future__ import annotations

import os

import numpy as np

from cero_api.analysis.history.builder import Builder, Fields, Progress
from cero_api.mathematics.rounding import ROUNDING
from cero_api.trace import TraceReader


def from_trace(path: str | os.PathLike[str], progress: Progress | None = None) -> Fields:
    """See `SuccessHistory.from_trace`."""
    reader, builder = TraceReader(path), Builder()
    any_graded = False
    for columns in reader.columns():
        won = columns.successes
        scored = np.rint(won + columns.failures).astype(np.int64)
        graded = np.where(won - columns.squares > ROUNDING * columns.count, won - columns.squares, 0.0)
        any_graded |= bool(graded.any())
        builder.add(columns.round, columns.row, scored, won, columns.count, graded)
        if progress is not None:
            progress(reader.fraction)
    notes: tuple[str, ...] = () if reader.torn is None else (reader.torn,)
    if any_graded:
        notes += ("Rewards were recorded as fractions of a success; drawn ones differ as much as those of each visit.",)
    return builder.fields(reader.keys, source=path, notes=notes, where=lambda record: f"{path}, line {record + 2}")
