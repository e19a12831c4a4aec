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
    graded = False
    for columns in reader.columns():
        scored = np.rint(columns.successes + columns.failures).astype(np.int64)
        graded |= bool((columns.successes - columns.squares > ROUNDING * columns.count).any())
        builder.add(columns.round, columns.row, scored, columns.successes, columns.count)
        if progress is not None:
            progress(reader.fraction)
    notes: tuple[str, ...] = () if reader.torn is None else (reader.torn,)
    if graded:
        notes += (
            "Rewards were recorded as fractions of a success; here they are successes and failures of the same rate, "
            "with more contrast than there was.",
        )
    return builder.fields(reader.keys, source=path, notes=notes, where=lambda record: f"{path}, line {record + 2}")
