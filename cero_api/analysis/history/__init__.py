"""How often each prompt was solved, and when: read from a trace, or from what other tools leave behind."""

from cero_api.analysis.history.builder import Progress
from cero_api.analysis.history.files import TRACE_NAMES, HistoryFormat, trace_in
from cero_api.analysis.history.read import read_history
from cero_api.analysis.history.visits import SuccessHistory

__all__ = ["TRACE_NAMES", "HistoryFormat", "Progress", "SuccessHistory", "read_history", "trace_in"]
