"""What a trainer leaves behind, told as the fast training tells it: a trace of its rounds, and checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import numpy as np

from cero_api.trace import TraceReader
from cero_lab.fast.chances import chances
from cero_lab.fast.network import Network
from cero_lab.fast.training import Round, Training
from cero_lab.grid.making import exam
from cero_lab.grid.regimes import Regime


def told(
    trace: Path, checkpoints: Mapping[int, Path], place: Regime, *, seconds: float, allocator_seconds: float
) -> Training:
    """Its rounds and its curve.

    Args:
        trace: that the adapter wrote; prompts are numbered as it first names them.
        checkpoints: folders of the model by optimizer steps done, the start's at 0.
        place: the regime.
        seconds: wall time, with all that the trainer does beside training.
        allocator_seconds: of these, in the allocator.

    Returns:
        The training; what its processes took of the processor is not known.
    """
    rounds = rounds_of(trace)
    spent = [0, *accumulate(sum(r.counts) for r in rounds)]
    generated = [0, *accumulate(sum(r.tokens) for r in rounds)]
    held = exam(place.pool, place.evaluation)
    steps = sorted(checkpoints)
    return Training(
        rollouts=[spent[step] for step in steps],
        tokens=[generated[step] for step in steps],
        accuracy=[float(chances(Network.load(checkpoints[step]), held).mean()) for step in steps],
        rounds=rounds,
        seconds=seconds,
        driver_seconds=allocator_seconds,
    )


def rounds_of(trace: Path) -> list[Round]:
    """The rounds of a trace; those who got nothing are left out."""
    rounds = []
    for part in TraceReader(trace):
        served = part.counts > 0
        tokens = np.zeros(part.counts.size) if part.tokens is None else np.nan_to_num(part.tokens)
        columns = (part.prompt_ids, part.counts, np.rint(part.successes), tokens)
        rounds.append(Round(*(column[served].astype(int).tolist() for column in columns)))
    return rounds


def evaluated(place: Regime) -> list[int]:
    """Optimizer steps after which the model is wanted, the start not among them."""
    every, rounds = place.evaluation.every, place.train.rounds
    return sorted({*range(every, rounds + 1, every), rounds})
