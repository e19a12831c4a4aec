"""Since when the present length of a training holds, and how that plan spreads what was left over the rounds left."""

from __future__ import annotations

from dataclasses import dataclass

from cero_api.config import AllocatorConfig


@dataclass
class Plan:
    """When it was made: before the first round, or where a training was given another length.

    >>> config = AllocatorConfig(num_prompts=4, rounds=3, budget=32)
    >>> [Plan().even_round(k, config) for k in range(3)]
    [10, 11, 11]
    >>> longer = AllocatorConfig(num_prompts=4, rounds=5, budget=80)  # after the first round, in which 10 were dealt
    >>> [Plan(round=1, spent=10).even_round(k, longer) for k in range(1, 5)]
    [17, 18, 17, 18]
    """

    round: int = 0  # rounds dealt by then
    spent: int = 0  # rollouts spent by then

    def rounds(self, config: AllocatorConfig) -> int:
        """Rounds of the plan; a last one where all are dealt."""
        return max(config.rounds - self.round, 1)

    def budget(self, config: AllocatorConfig) -> int:
        """Rollouts of the plan."""
        return config.budget - self.spent

    def mean_round(self, config: AllocatorConfig) -> float:
        """Rollouts per round of the plan, if they are spread evenly."""
        return self.budget(config) / self.rounds(config)

    def even_round(self, round: int, config: AllocatorConfig, unit: int = 1) -> int:
        """Whole units for a round if the budget is spread evenly, so that all rounds of the plan together spend it.

        Args:
            round: 0-based number in the whole training, not before the plan's.
            config: with the present length.
            unit: rollouts that are always dealt together.
        """
        units, k, rounds = self.budget(config) // unit, round - self.round, self.rounds(config)
        return (k + 1) * units // rounds - k * units // rounds

    def fault(self, round: int, budget: int) -> str | None:
        """What is wrong with a plan in this round, or None: for states that come from outside."""
        if not (0 <= self.round <= round and 0 <= self.spent <= budget):
            return f"a plan made in round {self.round}, with {self.spent} spent, cannot be in round {round}"
        return None
