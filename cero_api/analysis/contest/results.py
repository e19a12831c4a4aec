"""All allocators side by side: what was measured, and the differences to the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cero_api.analysis.contest.estimate import Estimate

# What a contest measures: name, heading, and what it is.
METRICS: dict[str, tuple[str, str]] = {
    "rollouts": ("rollouts", "dealt over all rounds"),
    "rounds_dealt": ("rounds", "rounds in which rollouts were dealt"),
    "effective_group_rate": ("effective", "share of groups whose rewards differ"),
    "expected_effective_groups": ("expected", "effective groups expected: sum over groups of 1 - p^n - (1-p)^n"),
    "signal_per_rollout": (
        "signal",
        "mean over rollouts of the variance of their reward, p(1-p) unless it is graded; at most 1/4",
    ),
    "certain_share": ("on p≈0,1", "share of rollouts on prompts with p below 0.001 or above 0.999"),
    "unserved_prompts": ("unserved", "prompts that never got a rollout"),
    "allocator_ms": ("ms/round", "time in allocate and observe, milliseconds per round"),
    "regret": ("regret", "utility per prompt below the full-information optimum"),
}


@dataclass(frozen=True)
class Result:
    """One allocator's numbers.

    Args:
        allocator: its name.
        config: what it was configured with, the seed apart.
        metrics: by the names in `METRICS`.
    """

    allocator: str
    config: Mapping[str, Any]
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True)
class ContestReport:
    """All allocators side by side, and what their numbers can and cannot tell.

    Args:
        kind: "replay" or "simulation".
        settings: of the contest: prompts, rounds, budget and the like.
        seeds: of the draws, and of the allocators' ties.
        results: in the order of the allocators asked for.
        notes: to be read with the numbers.
    """

    kind: str
    settings: Mapping[str, Any]
    seeds: tuple[int, ...]
    results: tuple[Result, ...]
    notes: tuple[str, ...]

    @property
    def baseline(self) -> str:
        """The allocator that differences are taken from: uniform, or else the first."""
        names = [result.allocator for result in self.results]
        return "uniform" if "uniform" in names else names[0]

    def differences(self) -> dict[str, dict[str, Estimate]]:
        """Each allocator's numbers less the baseline's, seed by seed: what both owe to the seed cancels."""
        base = next(result for result in self.results if result.allocator == self.baseline)
        return {
            result.allocator: {
                name: Estimate.of([a - b for a, b in zip(own.values, base.metrics[name].values, strict=True)])
                for name, own in result.metrics.items()
            }
            for result in self.results
            if result is not base
        }

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        differences = {
            name: {metric: asdict(estimate) for metric, estimate in metrics.items()}
            for name, metrics in self.differences().items()
        }
        return asdict(self) | {"baseline": self.baseline, "differences": differences}
