"""Histories from one list of rates per prompt, in memory or in a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cero_api.analysis.history.builder import Builder
from cero_api.analysis.history.files import opened
from cero_api.analysis.history.visits import SuccessHistory
from cero_api.errors import TraceError
from cero_api.mathematics.rounding import within
from cero_api.prompts import Key


def from_rates(rates: Mapping[Key, Any]) -> SuccessHistory:
    """See `SuccessHistory.from_rates`."""
    builder = Builder(timed=False)
    for row, (key, visits) in enumerate(rates.items()):
        if not isinstance(visits, list | tuple):
            raise TraceError(f"prompt {key!r}: {visits!r} is not a list of rates; give one rate per visit")
        for number, visit in enumerate(visits):
            won, count = _visit(visit, f"prompt {key!r}, visit {number}")
            builder.add([number], [row], [count], [won])
    return builder.history(list(rates), source="this object", counts_known=False)


def from_json(path: Path) -> SuccessHistory:
    """From a file that holds such an object."""
    with opened(path) as file:
        try:
            rates = json.load(file)
        except ValueError as error:
            raise TraceError(f"{path}: not JSON ({error}); correct the file") from None
    if not isinstance(rates, dict) or not rates:
        raise TraceError(f'{path}: no JSON object of histories; write {{"prompt": [rate per visit, ...], ...}}')
    try:
        return from_rates(rates)
    except TraceError as error:
        raise TraceError(f"{path}, {error}") from None


def _visit(visit: Any, where: str) -> tuple[float, int]:
    """Successes and rollouts of a visit given as a rate or as a pair."""
    if isinstance(visit, list | tuple) and len(visit) == 2 and all(_is_number(value) for value in visit):
        won, count = within(visit[0], 0.0, visit[1]), visit[1]
        if count == int(count) and 0 <= won <= count and count > 0:
            return float(won), int(count)
        raise TraceError(f"{where}: {won} successes in {count} rollouts; give (successes, rollouts)")
    if not _is_number(visit) or not 0 <= within(visit, 0.0, 1.0) <= 1:
        raise TraceError(f"{where}: {visit!r} is not a rate in [0, 1]; leave unvisited epochs out")
    return within(float(visit), 0.0, 1.0), 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
