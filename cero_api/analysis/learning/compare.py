"""From trainings to numbers: every label of a regime against the baseline."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cero_api._types import FloatArray
from cero_api.analysis.learning.collapse import collapsed
from cero_api.analysis.learning.contrast import Contrast, Pairs, Runs, contrast
from cero_api.analysis.learning.curve import common_grid, curves
from cero_api.analysis.learning.record import TrainingRecord
from cero_api.analysis.learning.spread import Interval
from cero_api.errors import ConfigurationError

BASELINE, ORACLE = "uniform", "oracle"
# Label of everybody's oracle, or of each label's own.
Oracles = str | Mapping[str, str]


@dataclass(frozen=True)
class TrainingResult:
    """One label's numbers in one regime.

    Args:
        trainings: that the numbers are of; where there is a baseline, those that it has the starts and seeds of too.
        starts: that these have.
        rollouts: that were compared, of each training.
        start: accuracy of the starting models.
        final: accuracy at the end, the mean of the last three evaluations.
        area: mean accuracy over the whole training.
        against: the baseline; None for the baseline itself, and without one.
        collapsed: start and seed of each training that ended below where it began, see `collapse.collapsed`.
        effective: share of groups whose rewards differ, mean; None if not recorded, as all below.
        signal: variance of a rollout's group, mean over rollouts and trainings.
        steps: optimizer steps, mean.
        pace: wall time of a training over the baseline's, median over pairs.
        allocator_seconds: in the allocator, over the whole training, mean.
    """

    trainings: int
    starts: int
    rollouts: int
    start: float
    final: Interval
    area: Interval
    against: Contrast | None
    collapsed: tuple[tuple[str, int], ...]
    effective: float | None
    signal: float | None
    steps: float | None
    pace: float | None
    allocator_seconds: float | None

    @property
    def ratio(self) -> Interval | None:
        """Rollouts to the baseline's final accuracy, over what the baseline takes; None without a baseline."""
        return None if self.against is None or self.against.rollouts is None else self.against.rollouts.end

    def numbers(self) -> dict[str, Any]:
        """For JSON, which knows no infinity: the end of an interval that has none is None."""
        numbers: dict[str, Any] = finite(asdict(self))
        return numbers


def finite(value: Any) -> Any:
    """The same with None in place of what JSON cannot say."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def compare_trainings(
    records: Iterable[TrainingRecord], baseline: str = BASELINE, oracle: Oracles = ORACLE
) -> dict[str, TrainingResult]:
    """Every label against the baseline, on the starts and seeds that both have.

    Args:
        records: of all trainings of one regime, in any order.
        baseline: label that the others are compared with; if no record has it, nothing is compared.
        oracle: label that is given true success rates, and says how much there is to save; or, by label, the one that
            has the same choice of prompts. If no record has it, no shares are stated.

    Returns:
        By label, in the order of the records.

    Raises:
        ConfigurationError: no records, records of several regimes, or a label without rollouts in common with the
            baseline.

    >>> runs = [TrainingRecord(label=a, start=s, rollouts=[0, 64, 128, 192], accuracy=[0.0, x, 2 * x, 3 * x])
    ...         for a, x in (("uniform", 0.1), ("cero", 0.2)) for s in ("a", "b")]
    >>> result = compare_trainings(runs)["cero"]
    >>> result.starts, round(result.against.rollouts.end.value, 3), round(result.against.less.value, 3)
    (2, 0.5, 0.2)
    """
    everything = list(records)
    regimes = sorted({record.regime for record in everything})
    if len(regimes) > 1:
        raise ConfigurationError(
            f"trainings of {len(regimes)} regimes, {', '.join(regimes[:3])} among them; compare_regimes compares each"
        )
    if not everything:
        raise ConfigurationError("no trainings to compare; give at least one")
    runs = by_label(everything)
    fallen = {(record.label, record.pair) for record in collapsed(everything)}
    results = {}
    for label, mine in runs.items():
        base = {} if label == baseline else runs.get(baseline, {})
        common = sorted(mine.keys() & base.keys()) or sorted(mine)
        against = None
        if mine.keys() & base.keys():
            against = contrast([Pairs(mine, base)], with_oracle(runs, label, baseline, oracle))
        own = [mine[key] for key in common]
        compared = [*own, *(base[key] for key in common if key in base)]
        heights = curves(own, common_grid(compared))
        results[label] = TrainingResult(
            trainings=len(own),
            starts=len({start for start, _ in common}),
            rollouts=min(record.rollouts[-1] for record in compared),
            start=float(heights[:, 0].mean()),
            final=_over_starts(common, heights[:, -1]),
            area=_over_starts(common, (heights[:, :-1] + heights[:, 1:]).mean(1) / 2),
            against=against,
            collapsed=tuple(key for key in common if (label, key) in fallen),
            effective=_mean([record.effective_group_rate for record in own]),
            signal=_mean([record.signal_per_rollout for record in own]),
            steps=_mean([record.optimizer_steps for record in own]),
            pace=_pace([(mine[key].seconds, base[key].seconds) for key in common if key in base]),
            allocator_seconds=_mean([record.allocator_seconds for record in own]),
        )
    return results


def by_label(records: Iterable[TrainingRecord]) -> dict[str, dict[tuple[str, int], TrainingRecord]]:
    """Records of each label by start and seed, in the order in which labels come.

    Args:
        records: of one regime.
    """
    found: dict[str, dict[tuple[str, int], TrainingRecord]] = {}
    for record in records:
        found.setdefault(record.label, {})[record.pair] = record
    return found


def with_oracle(runs: Mapping[str, Runs], label: str, baseline: str, oracle: Oracles) -> list[tuple[Pairs, Pairs]]:
    """A label and its oracle against the baseline, on the trainings that all three have; empty if there are none.

    Args:
        runs: by label, of one regime.
        label: that is compared.
        baseline: with which.
        oracle: as `compare_trainings`.
    """
    name = oracle if isinstance(oracle, str) else oracle.get(label, "")
    if name == label or name not in runs:
        return []
    common = runs[label].keys() & runs[name].keys() & runs[baseline].keys()
    if not common:
        return []
    mine, whole, base = ({key: runs[of][key] for key in common} for of in (label, name, baseline))
    return [(Pairs(mine, base), Pairs(whole, base))]


def _over_starts(keys: Sequence[tuple[str, int]], values: FloatArray) -> Interval:
    """Mean over starts of the means over their seeds; over the seeds of the only start."""
    starts: dict[str, list[float]] = {}
    for (start, _), value in zip(keys, values.tolist(), strict=True):
        starts.setdefault(start, []).append(value)
    return Interval.of([float(np.mean(own)) for own in starts.values()] if len(starts) > 1 else values.tolist())


def _pace(seconds: Iterable[tuple[float | None, float | None]]) -> float | None:
    paces = [mine / other for mine, other in seconds if mine and other]
    return float(np.median(paces)) if paces else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
