"""What the user decides, and what follows from the cookbook's own configuration and the user's dataset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cero_api.adapting.defaults import RoundShape
from cero_api.config import Scope
from cero_api.errors import ConfigurationError
from cero_api.rewards import SuccessRule


class CeroTinkerConfig(SuccessRule):
    """How counts go into the cookbook's batches and how its rewards come back.

    Args:
        scope: "batch" shares a batch's rollouts among its prompts; "window" lets the allocator choose among more
            than fit, from a walk that offers each once an epoch; "pool" from the whole dataset, as in the paper. In the
            last two the dataset's batches are but a clock.
        success_threshold: a rollout whose reward reaches this is a success; 1.0 unless a range is given.
        reward_range: (lowest, highest) in place of a threshold: success is the fraction of the way up.
        success_metric: name of an environment's metric that judges success, such as "correct"; None is the total
            reward, which the cookbook trains on.

    Raises:
        ConfigurationError: a value is unknown or contradicts another.
    """

    scope: Scope = "batch"
    success_metric: str | None = None

    @property
    def chooses(self) -> bool:
        """Whether the allocator picks the prompts, and the dataset's batches are but a clock."""
        return self.scope != "batch"


@dataclass(frozen=True)
class Schedule:
    """What a training generates without an allocator.

    Args:
        totals: rollouts of each batch of the dataset, in order.
        group_size: rollouts of a prompt.
        num_prompts: in the dataset.
        steps: of the whole training; a step beyond the dataset's end begins it again.
        first: step at which this process begins.

    >>> schedule = Schedule((16, 16, 8), group_size=4, num_prompts=10, steps=6, first=2)
    >>> schedule.budget, schedule.left, schedule.spend_left
    (80, 4, 48)
    """

    totals: tuple[int, ...]
    group_size: int
    num_prompts: int
    steps: int
    first: int = 0

    def total(self, step: int) -> int:
        """Rollouts of a step."""
        return self.totals[step % len(self.totals)]

    @property
    def budget(self) -> int:
        """Rollouts of the whole training."""
        return self._spend(0)

    @property
    def left(self) -> int:
        """Steps from the first on."""
        return max(self.steps - self.first, 0)

    @property
    def spend_left(self) -> int:
        """Rollouts from the first step on."""
        return self._spend(self.first)

    def _spend(self, first: int) -> int:
        whole, rest = divmod(max(self.steps - first, 0), len(self.totals))
        begin = first % len(self.totals)
        turned = self.totals[begin:] + self.totals[:begin]
        return whole * sum(self.totals) + sum(turned[:rest])

    def shape(self, scope: Scope) -> RoundShape:
        """From which an allocator's own settings follow."""
        return RoundShape(self.num_prompts, self.steps, self.budget, self.group_size, max(self.totals), scope)


def schedule_of(config: Any, sizes: Sequence[Sequence[int]], num_prompts: int, first: int) -> Schedule:
    """Steps and rollouts of a training, from the cookbook's configuration and the groups of the user's dataset.

    Args:
        config: the cookbook's `train.Config`.
        sizes: of the groups of each batch.
        num_prompts: that the allocator tells apart.
        first: step at which this process begins.

    Raises:
        ConfigurationError: there is nothing to train on, or groups differ in size.
    """
    if not sizes or not all(sizes):
        raise ConfigurationError(
            f"the dataset has {len(sizes)} batches, of which {sum(not batch for batch in sizes)} are empty, and every "
            "step needs a prompt; give it more prompts, or lower its batch size"
        )
    kinds = sorted({size for batch in sizes for size in batch})
    if len(kinds) > 1:
        raise ConfigurationError(
            f"the dataset's groups have {kinds} rollouts, and an allocator shares out what equal groups would take; "
            "give all of its sources one group size"
        )
    steps = len(sizes) * int(getattr(config, "num_epochs", 1))  # since tinker-cookbook 0.6
    if config.max_steps is not None:
        steps = min(steps, int(config.max_steps))
    return Schedule(tuple(sum(batch) for batch in sizes), kinds[0], num_prompts, steps, first)
