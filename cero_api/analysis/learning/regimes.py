"""Several regimes: each by itself, and what stands in all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from cero_api.analysis.learning.compare import (
    BASELINE,
    ORACLE,
    Oracles,
    TrainingResult,
    by_label,
    compare_trainings,
    finite,
    with_oracle,
)
from cero_api.analysis.learning.contrast import Contrast, Pairs, contrast
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.errors import ConfigurationError

R = TypeVar("R", bound=TrainingRecord)


@dataclass(frozen=True)
class Comparison:
    """Every label against the baseline, regime by regime and together.

    Args:
        baseline: label that the others are compared with.
        records: of each regime.
        results: by regime and label.
        together: by label the mean over regimes, of what has been compared in several.
    """

    baseline: str
    records: Mapping[str, list[TrainingRecord]]
    results: Mapping[str, Mapping[str, TrainingResult]]
    together: Mapping[str, Contrast]

    def numbers(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "baseline": self.baseline,
            "regimes": {
                regime: {label: result.numbers() for label, result in results.items()}
                for regime, results in self.results.items()
            },
            "together": {label: finite(asdict(found)) for label, found in self.together.items()},
        }


def compare_regimes(
    records: Iterable[TrainingRecord], baseline: str = BASELINE, oracle: Oracles = ORACLE
) -> Comparison:
    """Every label against the baseline in each regime, and those that several regimes have in all of these together.

    Args:
        records: of all trainings, in any order.
        baseline: as `compare_trainings`.
        oracle: as `compare_trainings`.

    Raises:
        ConfigurationError: no records, or a regime in which a label has no rollouts in common with the baseline.
    """
    regimes = by_regime(records)
    if not regimes:
        raise ConfigurationError("no trainings to compare; give at least one")
    results = {regime: compare_trainings(mine, baseline, oracle) for regime, mine in regimes.items()}
    compared = [label for found in results.values() for label, result in found.items() if result.against is not None]
    several = [label for label in dict.fromkeys(compared) if compared.count(label) > 1]
    joined = {label: compare_over_regimes(regimes, label, baseline, oracle) for label in several}
    return Comparison(baseline, regimes, results, {label: found for label, found in joined.items() if found})


def compare_over_regimes(
    regimes: Mapping[str, Iterable[TrainingRecord]], label: str, baseline: str = BASELINE, oracle: Oracles = ORACLE
) -> Contrast | None:
    """One label against another as a mean over regimes, of ratios the geometric one.

    A start that several regimes have (or a seed, where they have one start) moves all of them at once, and the
    interval knows it.

    Args:
        regimes: records of each; of other labels, too.
        label: that is compared.
        baseline: with which.
        oracle: as `compare_trainings`; shares are stated if every regime that is compared has it.

    Returns:
        None if no regime has both on one start and seed.

    Raises:
        ConfigurationError: a regime in which the two have no rollouts in common.
    """
    every, oracles = [], []
    for records in regimes.values():
        runs = by_label(records)
        if runs.get(label, {}).keys() & runs.get(baseline, {}).keys():
            every.append(Pairs(runs[label], runs[baseline]))
            oracles += with_oracle(runs, label, baseline, oracle)
    return contrast(every, oracles if len(oracles) == len(every) else ()) if every else None


def by_regime(records: Iterable[R]) -> dict[str, list[R]]:
    """Records of each regime, in the order in which they come.

    Args:
        records: of all trainings.
    """
    found: dict[str, list[R]] = {}
    for record in records:
        found.setdefault(record.regime, []).append(record)
    return found
