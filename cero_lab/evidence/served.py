"""Who gets the rollouts: mean count of a group by what had been seen of its prompt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cero_lab.evidence.published import Published
from cero_lab.evidence.record import SEEN
from cero_lab.evidence.tables import lines

SHARED = ("uniform", "cero-batch", "vip", "knapsack", "hora", "gvm")


def served(records: Iterable[Published]) -> str:
    """Of the allocators that share out batches, in Markdown; empty if no record says.

    Args:
        records: of one regime.
    """
    known = [
        (record.label, record.seen_rollouts, record.seen_groups)
        for record in records
        if record.seen_rollouts is not None and record.seen_groups is not None
    ]
    table: list[Sequence[str]] = [("allocator", *(name for _, name in SEEN))]
    shares: Sequence[str] = ()
    for variant in SHARED:
        mine = [(rollouts, groups) for label, rollouts, groups in known if label == variant]
        if mine:
            rollouts, groups = np.sum(mine, axis=0)
            table.append((variant, *(f"{t / n:.1f}" if n else "" for t, n in zip(rollouts, groups, strict=True))))
            if variant == "uniform":
                shares = ("share of uniform's groups", *(f"{n / groups.sum():.0%}" for n in groups))
    return lines([*table, shares] if shares else table) if known else ""
