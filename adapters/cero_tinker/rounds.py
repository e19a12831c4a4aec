"""A round under way: what each of its groups has earned so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api import Allocation


@dataclass(eq=False)
class Scores:
    """What the rollouts of one group earned, `[G]` each: those that came to an end, of those that were dealt."""

    totals: list[float]  # rewards that the cookbook trains on
    judged: list[Any]  # what tells success from failure, as it came
    tokens: list[float]  # sampled
    numbers: dict[str, float]  # metrics of one rollout, which the cookbook logs


@dataclass(eq=False)
class Round:
    """One step's groups.

    Args:
        step: of the training, 0-based.
        allocation: as dealt.
        seconds: that the allocator took so far.
    """

    step: int
    allocation: Allocation
    seconds: float
    scores: dict[int, Scores] = field(default_factory=dict)  # by the group's place
    over: set[int] = field(default_factory=set)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Sizes of the groups, int64: the counts without the zeros."""
        counts: NDArray[np.int64] = self.allocation.counts
        return counts[counts > 0]

    @property
    def complete(self) -> bool:
        """Whether the last group is over."""
        return len(self.over) == self.counts.size

    def column(self, name: str) -> list[Any]:
        """One of the scores for each rollout that was dealt, NaN for those that came to nothing."""
        values: list[Any] = []
        for place, count in enumerate(self.counts.tolist()):
            group = list(getattr(self.scores[place], name))[:count] if place in self.scores else []
            values += group + [math.nan] * (count - len(group))
        return values


def scores_of(
    trajectories: Sequence[Any],
    rewards: Sequence[tuple[Any, Mapping[str, Any]]],
    numbers: dict[str, float],
    success_metric: str | None,
    limited: frozenset[str],
) -> Scores:
    """What a group earned, as the cookbook will have it.

    Args:
        trajectories: `[G]`, those that came to an end.
        rewards: `[G]`, of the whole group, with metrics.
        numbers: the metrics that carry the round's numbers.
        success_metric: whose value judges success; None is the total reward.
        limited: reasons to stop for which a positive reward becomes zero.
    """
    totals, judged = [], []
    for trajectory, (reward, metrics) in zip(trajectories, rewards, strict=True):
        total = float(sum(transition.reward for transition in trajectory.transitions) + reward)
        if trajectory.stop_reason in limited:
            total = min(total, 0.0)
        totals.append(total)
        judged.append(total if success_metric is None else _metric(trajectory, metrics, success_metric))
    tokens = [float(sum(len(t.ac.tokens) for t in trajectory.transitions)) for trajectory in trajectories]
    return Scores(totals, judged, tokens, numbers)


def _metric(trajectory: Any, metrics: Mapping[str, Any], name: str) -> Any:
    """The group's word on a rollout, or else the last that its environment had to say; NaN where there is none."""
    if name in metrics:
        return metrics[name]
    said = [transition.metrics[name] for transition in trajectory.transitions if name in transition.metrics]
    return said[-1] if said else math.nan
