"""Records of trainings and their comparison: the short address of `cero_api.analysis.learning`."""

from __future__ import annotations

from cero_api.analysis.learning import (
    Interval,
    TrainingRecord,
    TrainingResult,
    area,
    compare_trainings,
    curves,
    pooled_ratio,
    ratio_interval,
    read_trainings,
    rollout_ratio,
    smoothed,
)

__all__ = [
    "Interval",
    "TrainingRecord",
    "TrainingResult",
    "area",
    "compare_trainings",
    "curves",
    "pooled_ratio",
    "ratio_interval",
    "read_trainings",
    "rollout_ratio",
    "smoothed",
]
