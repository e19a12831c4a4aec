"""Trainings side by side at equal rollouts: who learned more, and who learned as much from fewer?"""

from cero_api.analysis.learning.compare import (
    Interval,
    TrainingResult,
    area,
    compare_trainings,
    curves,
    pooled_ratio,
    ratio_interval,
    rollout_ratio,
    smoothed,
)
from cero_api.analysis.learning.record import TrainingRecord, read_trainings

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
