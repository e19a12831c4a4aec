"""Reading recorded runs of any kind into success rates: the short address of `cero_api.analysis.history`."""

from __future__ import annotations

from cero_api.analysis.history import (
    TRACE_NAMES,
    HistoryFormat,
    Progress,
    SuccessHistory,
    read_history,
    trace_in,
)

__all__ = [
    "TRACE_NAMES",
    "HistoryFormat",
    "Progress",
    "SuccessHistory",
    "read_history",
    "trace_in",
]
