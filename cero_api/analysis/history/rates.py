"""Histories from what is known of each prompt by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from cero_api.analysis.history.builder import Builder, Fields
from cero_api.analysis.history.cells import cells, share
from cero_api.analysis.history.table import shown
from cero_api.errors import TraceError
from cero_api.mathematics.rounding import within
from cero_api.prompts import Key


def from_rates(rates: Mapping[Key, Any], source: str = "this object") -> Fields:
    """See `SuccessHistory.from_rates`; `source` is what the message of an error names."""
    builder, empty, visited = Builder(timed=False), 0, False
    for row, (key, visits) in enumerate(rates.items()):
        where = f"{'' if source == 'this object' else f'{source}, '}prompt {shown(key)}"
        if isinstance(visits, Mapping):
            raise TraceError(f"{where}: {shown(visits)} is not a list of rates; give one rate per visit")
        for number, visit in enumerate(visits if isinstance(visits, list | tuple | np.ndarray) else [visits]):
            won, count = _visit(visit, f"{where}, visit {number}")
            builder.add([number], [row], [count], [won])
            empty, visited = empty + (not count), visited or count > 0
    if not visited:
        raise TraceError(f"{source} holds not one visit; give a record in which prompts were rolled out")
    notes = (f"Visits without a rate, which are not counted: {empty}.",) if empty else ()
    return builder.fields(list(rates), source=source, counts_known=False, notes=notes)


def _visit(visit: Any, where: str) -> tuple[float, int]:
    """Successes and rollouts of a visit given as a rate or as a pair; none for one without a rate."""
    found = cells(visit, "rate", where)
    if not found:
        return 0.0, 0
    if len(found) == 1:
        rate = found[0]
        return (rate.amount, rate.of) if rate.of else (share(rate, "rate", where), 1)
    count = found[1].amount
    won = within(found[0].amount, 0.0, count)
    if len(found) == 2 and count == int(count) and 0 <= won <= count < 2**31 and count > 0:
        return won, int(count)
    if len(found) == 2:
        raise TraceError(f"{where}: {won:g} successes in {count:g} rollouts; give (successes, rollouts)")
    raise TraceError(f"{where}: {shown(visit)} is no rate; give one from 0 to 1, or a pair (successes, rollouts)")
