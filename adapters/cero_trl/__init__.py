"""CERO and its peers in TRL: a `GRPOTrainer` whose rollouts per prompt an allocator decides."""

from cero_trl.config import CeroTRLConfig, Schedule
from cero_trl.feedback import RoundRecord
from cero_trl.trainer import CeroGRPOTrainer

__all__ = ["CeroGRPOTrainer", "CeroTRLConfig", "RoundRecord", "Schedule"]
