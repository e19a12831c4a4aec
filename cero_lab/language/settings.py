"""What is equal for all trainings of a language model, and what is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cero_api.analysis.learning import TrainingRecord
from cero_lab.settings import Count, Frozen, Positive


class WarmSizes(Frozen):
    """Of the supervised warm start: the model learns the task's form, and some of its sums.

    Attributes:
        accuracy: held out, at which it ends: well within (0, 1), so that most prompts have contrast or soon will.
        batch: sums of a step.
        learning_rate: of AdamW.
        steps: at most.
        every: steps between evaluations.
    """

    accuracy: Positive = 0.3
    batch: Count = 64
    learning_rate: Positive = 2e-5
    steps: Count = 400
    every: Count = 5


class Sizes(Frozen):
    """Of a training.

    Attributes:
        prompts: in the pool.
        rounds: optimiser steps.
        prompts_per_round: groups in each, at uniform counts.
        group_size: rollouts of a group.
        learning_rate: after a short warmup.
        heldout: prompts to evaluate on, and `samples` of each.
        evaluations: how many, the starting model's not counted.
        warm: of the starts.
    """

    prompts: Count
    rounds: Count
    prompts_per_round: Count
    group_size: Count
    learning_rate: Positive
    heldout: Count
    samples: Count
    evaluations: Count
    warm: WarmSizes = WarmSizes()


SIZES: Mapping[str, Sizes] = {
    # A minute or two on an H100 with three others beside it; every prompt twice, as in real runs.
    "gpu": Sizes(
        prompts=1600, rounds=100, prompts_per_round=32, group_size=8, learning_rate=1e-5, heldout=240, samples=16,
        evaluations=10,
    ),
    # What a single core does in minutes: too short to tell allocators apart, long enough to show that all of it runs.
    "cpu": Sizes(
        prompts=48, rounds=8, prompts_per_round=4, group_size=4, learning_rate=2e-5, heldout=36, samples=4,
        evaluations=2, warm=WarmSizes(batch=16, steps=20),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """An allocator as a user would ask for it.

    Args:
        allocator: its name.
        options: further arguments of the trainer; what is not given is the adapter's default.
        source: whether the data set says of each sum how many terms and digits it has.
    """

    allocator: str
    options: Mapping[str, Any] = field(default_factory=dict)
    source: bool = False


VARIANTS: Mapping[str, Variant] = {
    "uniform": Variant("uniform"),
    # The adapter's default, which sees no more than the length of a prompt.
    "cero": Variant("cero"),
    # The same where the data set has a column `source`, as most have.
    "cero-source": Variant("cero", source=True),
    "cero-batch": Variant("cero", {"scope": "batch"}),
    "cero-pool": Variant("cero", {"scope": "pool"}),
    "vip": Variant("vip"),
    "knapsack": Variant("knapsack"),
}


class Record(TrainingRecord):
    """A training, as far as it has come.

    Attributes:
        finished: False while it trains, or where its time was up.
        settings: its sizes.
        device: where it ran.
    """

    tokens: list[int]
    finished: bool
    settings: Sizes
    device: str
