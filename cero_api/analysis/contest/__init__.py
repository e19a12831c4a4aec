r"""Any allocators, one budget, one set of success rates: the loop behind replay and simulation, and its numbers."""

from cero_api.analysis.contest.arena import Arena, Turn, epochs, even_totals
from cero_api.analysis.contest.estimate import Estimate, t95
from cero_api.analysis.contest.results import METRICS, ContestReport, Result
from cero_api.analysis.contest.run import Progress, contest, equal_configs

__all__ = [
    "METRICS",
    "Arena",
    "ContestReport",
    "Estimate",
    "Progress",
    "Result",
    "Turn",
    "contest",
    "epochs",
    "equal_configs",
    "even_totals",
    "t95",
]
