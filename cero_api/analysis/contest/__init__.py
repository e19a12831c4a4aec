r"""Any allocators, one budget, one set of success rates: the loop behind replay and simulation, and its numbers."""

from cero_api.analysis.contest.arena import Arena, Turn, epochs, even_totals, suffices
from cero_api.analysis.contest.estimate import Estimate, t95
from cero_api.analysis.contest.results import METRICS, ContestReport, Result
from cero_api.analysis.contest.run import Progress, contest
from cero_api.analysis.contest.terms import Terms, equal_terms

__all__ = [
    "METRICS",
    "Arena",
    "ContestReport",
    "Estimate",
    "Progress",
    "Result",
    "Terms",
    "Turn",
    "contest",
    "epochs",
    "equal_terms",
    "even_totals",
    "suffices",
    "t95",
]
