"""Records of trainings and their comparison: the short address of `cero_api.analysis.learning`."""

from __future__ import annotations

from cero_api.analysis.learning import (
    Comparison,
    Contrast,
    Interval,
    LogRatios,
    Match,
    TrainingRecord,
    TrainingResult,
    area,
    by_regime,
    collapsed,
    compare_over_regimes,
    compare_regimes,
    compare_trainings,
    curves,
    log_ratios,
    read_records,
    read_trainings,
    rollout_ratio,
    smoothed,
    write_trainings,
)

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
