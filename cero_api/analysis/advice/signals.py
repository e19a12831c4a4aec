"""What each composition would have put its rollouts on, had rates gone as recorded: its signal against uniform's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cero_api._types import IntArray
from cero_api.analysis.advice.known import Told
from cero_api.analysis.advice.run import Run
from cero_api.analysis.advice.scopes import Scope
from cero_api.analysis.contest import Estimate
from cero_api.analysis.history import SuccessHistory
from cero_api.analysis.replay import replay

# Rounds and prompts of a replay: enough for the ratio's second digit, and seconds on one core.
ROUNDS, PROMPTS = 400, 4096
OFFLINE = 4  # samples behind each imagined pass rate
ALONE, RATES = "outcomes alone", f"rates of {OFFLINE} samples"


@dataclass(frozen=True)
class Signal:
    r"""Mean over rollouts of $p(1-p)$, the variance of a reward, over that of uniform's.

    Args:
        scope: who was chosen among.
        known: by what.
        ratio: over uniform's, with its interval over seeds.
    """

    scope: Scope
    known: str
    ratio: Estimate


@dataclass(frozen=True)
class Signals:
    """Of one record.

    Args:
        uniform: signal itself, mean over rollouts; at most 1/4.
        prompts: that took part.
        rounds: that they were dealt in.
        of: by composition.
    """

    uniform: float
    prompts: int
    rounds: int
    of: tuple[Signal, ...]

    @property
    def best(self) -> Signal:
        """The largest."""
        return max(self.of, key=lambda signal: signal.ratio.mean)

    def at(self, scope: str, told: Told) -> float | None:
        """The largest ratio of a scope by what is indeed known; None if the record lacks some of that.

        Args:
            scope: who was chosen among.
            told: what is known.
        """
        if told.source and told.features is None:
            return None
        known = {one.known: one.ratio.mean for one in self.of if one.scope == scope}
        rates = known.pop(RATES, 0.0)
        return max([*known.values(), *([rates] if told.rates is not None else [])], default=None)


def signals(
    history: SuccessHistory,
    run: Run,
    scopes: Sequence[Scope],
    *,
    told: Told | None = None,
    fields: Mapping[str, Mapping[str, Any]] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    progress: Callable[[float], None] | None = None,
) -> Signals:
    """Replay compositions on a record, in a run of these sizes; of a large pool on a sample with as many visits.

    Args:
        history: the record; its rounds are left aside, its rates go with time.
        run: whose batches, groups and epochs are dealt.
        scopes: that are tried.
        told: what is known of the record's prompts beforehand; None is nothing.
        fields: of CERO's configuration, by scope.
        seeds: of the draws and of the sample.
        progress: called with the share that is done.

    Raises:
        ConfigurationError: no prompt of the record has a rate, or the sizes do not fit.
    """
    rows = np.flatnonzero(history.rated)
    batch = min(run.batch, rows.size)
    if rows.size < min(8 * batch, run.prompts):  # a part of the pool was recorded: batches are the same part of it
        batch = max(round(run.batch * rows.size / run.prompts), 1)
    most = max(min(PROMPTS, int(ROUNDS * batch / max(run.epochs, 1e-9))), 8 * batch)
    if rows.size > most:
        rows = np.sort(np.random.default_rng((seeds[0], 5)).choice(rows, most, replace=False))
    sample = history.only(rows)
    rounds = max(int(run.epochs * (rows.size // batch)), 1)
    tried = [
        (scope, known, settings | dict((fields or {}).get(scope, {})))
        for scope in scopes
        for known, settings in _known(sample, rows, told or Told(), seeds[0]).items()
        if scope != "pool" or not settings
    ]
    found, uniform = [], 0.0
    for number, (scope, known, settings) in enumerate(tried):

        def moved(_: str, seed: int, share: float, number: int = number) -> None:
            if progress is not None:
                progress(min((number + (seeds.index(seed) + share) / len(seeds)) / len(tried), 1.0))

        report = replay(
            sample,
            ["uniform", "cero"],
            seeds=seeds,
            scope=scope,
            rounds=rounds,
            group_size=run.group_size,
            batch_size=batch,
            settings={"cero": settings},
            progress=moved,
        )
        base, own = (result.metrics["signal_per_rollout"] for result in report.results)
        uniform = base.mean
        ratios = [a / b if b > 0.0 else 1.0 for a, b in zip(own.values, base.values, strict=True)]
        found.append(Signal(scope, known, Estimate.of(ratios)))
    return Signals(uniform=uniform, prompts=int(rows.size), rounds=rounds, of=tuple(found))


def _known(sample: SuccessHistory, rows: IntArray, told: Told, seed: int) -> dict[str, dict[str, Any]]:
    """What may be known of these prompts before their first visit, and CERO's fields that make use of it."""
    known: dict[str, dict[str, Any]] = {ALONE: {}}
    if told.features is not None:
        columns = ", ".join([*told.columns, "length"])
        known[columns] = {"belief": "features", "features": told.features[rows]}
    # Not the recorded rates themselves, of which the rewards are drawn: nobody knows those beforehand.
    first = sample.rates(1)[sample.offsets[:-1]].astype(np.float64)
    drawn = np.random.default_rng((seed, 6)).binomial(OFFLINE, first) / OFFLINE
    samples = np.full(first.size, OFFLINE)
    known[RATES] = {
        "belief": "pooled", "offline_rates": drawn, "offline_samples": samples
    }  # fmt: skip
    return known
