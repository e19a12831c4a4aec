"""What changes during a training, as values: one dataclass for every kind of allocator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.allocators.parts import PartsState
from cero_api.allocators.plan import Plan
from cero_api.config import AllocatorConfig
from cero_api.mathematics.ledger import Ledger
from cero_api.mathematics.walk import Walk
from cero_api.state import RAGGED, no_floats


@dataclass
class AllocatorState:
    """What changes during training, for any allocator over a pool of M prompts."""

    round: int  # rounds dealt so far
    ledger: Ledger
    successes: FloatArray  # [M] evidence beyond the prior, in rollouts
    failures: FloatArray  # [M]
    exposure: IntArray  # [M] rollouts dealt, net of refunds
    plan: Plan
    graded: FloatArray = field(metadata=RAGGED)  # [M] sum of x(1 - x) over rewards x; [0] while all were 0 or 1
    tokens: float  # that the rollouts reported with their length have generated
    parts: PartsState
    decidable: float  # share of the latest round's rollouts that could have gone elsewhere

    @classmethod
    def initial(cls, config: AllocatorConfig, **fields: Any) -> Self:
        """Nothing dealt, nothing seen."""
        pool = config.num_prompts
        return cls(
            round=0,
            ledger=Ledger(config.budget),
            successes=np.zeros(pool),
            failures=np.zeros(pool),
            exposure=np.zeros(pool, dtype=np.int64),
            plan=Plan(),
            tokens=0.0,
            parts=PartsState(),
            graded=no_floats(),
            decidable=0.0,
            **fields,
        )


@dataclass
class WalkState(AllocatorState):
    """State of a method that walks through the pool, or shares out the batches that a loader draws."""

    walk: Walk
