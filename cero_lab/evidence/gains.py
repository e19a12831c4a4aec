"""What goes with fewer rollouts to the same accuracy: signal, effective groups, how unevenly prompts were served."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cero_api._types import FloatArray
from cero_api.analysis.learning import TrainingResult
from cero_api.analysis.report.learning_table import filled
from cero_lab.evidence.published import Published
from cero_lab.evidence.tables import table
from cero_lab.evidence.variants import VARIANTS


@dataclass(frozen=True)
class Gain:
    """A variant in a regime, against uniform.

    Args:
        regime: its name.
        variant: its name.
        pool: whether it picks the prompts; else it shares a batch out.
        signal: variance of a rollout's group, over uniform's; NaN where the records do not say, as all below.
        early: the same in the first half of the training.
        effective: share of effective groups, over uniform's.
        unevenness: standard deviation of the prompts' rollouts over their mean.
        ratio: rollouts to match along the curve, over uniform's.
    """

    regime: str
    variant: str
    pool: bool
    signal: float
    early: float
    effective: float
    unevenness: float
    ratio: float


def gains(records: Mapping[str, Sequence[Published]], rows: Mapping[str, Mapping[str, TrainingResult]]) -> list[Gain]:
    """What everything with eight pairs and more did with its rollouts, and what came of it, against uniform."""
    found = []
    for regime, results in rows.items():
        base = {record.pair: record for record in records[regime] if record.label == "uniform"}
        for variant, result in results.items():
            match = result.against.rollouts if result.against is not None else None
            if match is None or result.trainings < 8 or variant not in VARIANTS:
                continue
            own = [record for record in records[regime] if record.label == variant and record.pair in base]
            others = [base[record.pair] for record in own]
            found.append(
                Gain(
                    regime,
                    variant,
                    pool=VARIANTS[variant].scope == "pool",
                    signal=_over(own, others, lambda run: run.signal_per_rollout),
                    early=_over(own, others, lambda run: run.early_signal),
                    effective=_over(own, others, lambda run: run.effective_group_rate),
                    unevenness=_mean([run.unevenness for run in own]),
                    ratio=match.along.value,
                )
            )
    return found


def _over(own: Sequence[Published], base: Sequence[Published], of: Callable[[Published], float | None]) -> float:
    return _mean([of(run) for run in own]) / _mean([of(run) for run in base])


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([np.nan if value is None else value for value in values]))


def signals(found: list[Gain]) -> str:
    """What goes with fewer rollouts to match: correlations with the logarithm of the ratio.

    Signal and effective groups are logarithms too, being ratios; unevenness is as it is, and may be 0.

    Args:
        found: what is compared.
    """
    rows = []
    for title, pool in (("the loader; a batch is shared out", False), ("the allocator, from the pool", True)):
        chosen = [gain for gain in found if gain.pool == pool]
        if len(chosen) > 2:
            ratio = np.log([gain.ratio for gain in chosen])
            measures = {
                "signal": np.log([gain.signal for gain in chosen]),
                "signal, first half": np.log([gain.early for gain in chosen]),
                "effective groups": np.log([gain.effective for gain in chosen]),
                "uneven exposure": np.array([gain.unevenness for gain in chosen]),
            }
            numbers = {name: _correlation(x, ratio) for name, x in measures.items()}
            rows.append({"who picks the prompts": title, "variants × regimes": str(len(chosen)), **numbers})
    return table(filled(rows)) if rows else ""


def _correlation(x: FloatArray, ratio: FloatArray) -> str:
    """Over what is known of both; nothing if that is little."""
    known = ~np.isnan(x)
    return f"{np.corrcoef(x[known], ratio[known])[0, 1]:+.2f}" if known.sum() > 2 else ""
