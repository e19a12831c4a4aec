"""Trainings that end below where they began."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cero_api.analysis.learning.curve import WINDOW, smoothed
from cero_api.analysis.learning.record import TrainingRecord

ERRORS = 3.0  # standard errors of an evaluation's noise


def collapsed(records: Sequence[TrainingRecord]) -> list[TrainingRecord]:
    r"""Those whose last three evaluations are, on average, below the first by more than its noise.

    The noise of one evaluation is what makes a curve rough, $\sigma^2 = \overline{(a_{k-1} - 2 a_k + a_{k+1})^2} / 6$
    over all the trainings; a fall counts beyond $3 \sigma \sqrt{1 + 1/3}$. With fewer than three evaluations there is
    no telling noise, and every fall counts.

    Args:
        records: of one regime, whose evaluations are alike.

    >>> down = TrainingRecord(label="cero", rollouts=[0, 1, 2, 3], accuracy=[0.4, 0.3, 0.2, 0.1])
    >>> [record.label for record in collapsed([down])]
    ['cero']
    """
    bends = [np.diff(record.accuracy, 2) ** 2 for record in records]
    bent = np.concatenate(bends) if bends else np.zeros(0)
    noise = float(np.sqrt(bent.mean() / 6)) if bent.size else 0.0
    limit = ERRORS * noise * (1 + 1 / WINDOW) ** 0.5 + 1e-9
    return [record for record in records if record.accuracy[0] - smoothed(record.accuracy)[-1] > limit]
