"""Trainings side by side at equal rollouts: who learned more, and who learned as much from fewer?"""

from cero_api.analysis.learning.collapse import collapsed
from cero_api.analysis.learning.compare import TrainingResult, compare_trainings
from cero_api.analysis.learning.contrast import Contrast, Match
from cero_api.analysis.learning.curve import area, curves, smoothed
from cero_api.analysis.learning.files import read_records, read_trainings, write_trainings
from cero_api.analysis.learning.ratio import LogRatios, log_ratios, rollout_ratio
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.analysis.learning.regimes import Comparison, by_regime, compare_over_regimes, compare_regimes
from cero_api.analysis.learning.spread import Interval

__all__ = [
    "Comparison",
    "Contrast",
    "Interval",
    "LogRatios",
    "Match",
    "TrainingRecord",
    "TrainingResult",
    "area",
    "by_regime",
    "collapsed",
    "compare_over_regimes",
    "compare_regimes",
    "compare_trainings",
    "curves",
    "log_ratios",
    "read_records",
    "read_trainings",
    "rollout_ratio",
    "smoothed",
    "write_trainings",
]
