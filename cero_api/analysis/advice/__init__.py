"""Should I use it for my run, and what will it save? What can be decided, what it would pick, what was measured."""

from cero_api.analysis.advice.advice import Advice, Verdict, advise
from cero_api.analysis.advice.choosing import Candidate, Evidence, choose
from cero_api.analysis.advice.difficulty import Difficulty, difficulty
from cero_api.analysis.advice.known import Told, told_by_table
from cero_api.analysis.advice.lines import TITLES, Composition, trainer_lines
from cero_api.analysis.advice.run import Run, run_of
from cero_api.analysis.advice.savings import Regime, Saved, Saving, published, regimes_like
from cero_api.analysis.advice.scopes import Scope, ScopeView, scope_views
from cero_api.analysis.advice.signals import Signal, Signals, signals

__all__ = [
    "TITLES",
    "Advice",
    "Candidate",
    "Composition",
    "Difficulty",
    "Evidence",
    "Regime",
    "Run",
    "Saved",
    "Saving",
    "Scope",
    "ScopeView",
    "Signal",
    "Signals",
    "Told",
    "Verdict",
    "advise",
    "choose",
    "difficulty",
    "published",
    "regimes_like",
    "run_of",
    "scope_views",
    "signals",
    "told_by_table",
    "trainer_lines",
]
