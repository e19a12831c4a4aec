"""What goes with fewer rollouts to the same accuracy: signal, effective groups, how unevenly prompts were served."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cero_api.analysis.learning import TrainingResult
from cero_lab.evidence.record import Record
from cero_lab.evidence.runs import Runs
from cero_lab.evidence.tables import lines
from cero_lab.evidence.variants import VARIANTS


@dataclass(frozen=True)
class Gain:
    """A variant in a regime, against uniform.

    Args:
        regime: its name.
        variant: its name.
        pool: whether it picks the prompts; else it shares a batch out.
        signal: variance of a rollout's group, over uniform's.
        early: the same in the first half of the training.
        effective: share of effective groups, over uniform's.
        unevenness: standard deviation of the prompts' rollouts over their mean.
        ratio: rollouts to uniform's final accuracy over uniform's.
    """

    regime: str
    variant: str
    pool: bool
    signal: float
    early: float
    effective: float
    unevenness: float
    ratio: float


def gains(runs: Runs, rows: dict[str, dict[str, TrainingResult]]) -> list[Gain]:
    """What everything with eight seeds and more did with its rollouts, and what came of it, against uniform."""
    found = []
    for regime, results in rows.items():
        for variant, mine in results.items():
            if mine.ratio is None or mine.seeds < 8 or not np.isfinite(mine.ratio.value):
                continue
            pairs = [(run, runs[regime]["uniform"].get(seed)) for seed, run in runs[regime][variant].items()]
            own, base = zip(*((run, other) for run, other in pairs if other is not None), strict=True)
            found.append(
                Gain(
                    regime,
                    variant,
                    pool=VARIANTS[variant].scope == "pool",
                    signal=_over(own, base, lambda run: run.signal_per_rollout),
                    early=_over(own, base, lambda run: run.early_signal),
                    effective=_over(own, base, lambda run: run.effective_group_rate),
                    unevenness=float(np.mean([run.unevenness for run in own])),
                    ratio=mine.ratio.value,
                )
            )
    return found


def _over(own: Sequence[Record], base: Sequence[Record], of: Callable[[Record], float]) -> float:
    return float(np.mean([of(run) for run in own]) / np.mean([of(run) for run in base]))


def signals(found: list[Gain]) -> str:
    """What goes with fewer rollouts to match: correlations with the logarithm of the ratio.

    Signal and effective groups are logarithms too, being ratios; unevenness is as it is, and may be 0.

    Args:
        found: what is compared.
    """
    heads = (
        "who picks the prompts", "variants × regimes", "signal", "signal, first half", "effective groups",
        "uneven exposure",
    )  # fmt: skip
    table: list[Sequence[str]] = [heads]
    for title, pool in (("the loader; a batch is shared out", False), ("the allocator, from the pool", True)):
        chosen = [gain for gain in found if gain.pool == pool]
        if len(chosen) > 2:
            ratio = np.log([gain.ratio for gain in chosen])
            against = np.log([[gain.signal, gain.early, gain.effective] for gain in chosen]).T
            measures = [*against, np.array([gain.unevenness for gain in chosen])]
            table.append((title, str(len(chosen)), *(f"{np.corrcoef(x, ratio)[0, 1]:+.2f}" for x in measures)))
    return lines(table)
