"""Who gets the rollouts: mean count of a group by what had been seen of its prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from cero_lab.evidence.record import Record
from cero_lab.evidence.tables import lines

# Success rates seen before the round: lower ends, and what they are called.
BINS = ((-1.0, "not seen"), (0.0, "never right"), (1e-9, "below ¼"), (0.25, "¼ to ¾"), (0.75, "¾ and more"))
SHARED = ("uniform", "cero-batch", "vip", "knapsack", "hora", "gvm")


def served(runs: Mapping[str, Mapping[int, Record]]) -> str:
    """Of the allocators that share out batches, in Markdown.

    Args:
        runs: of one regime, by variant and seed.
    """
    table: list[Sequence[str]] = [("allocator", *(name for _, name in BINS))]
    for variant in SHARED:
        if variant in runs:
            records = runs[variant].values()
            won, given = np.concatenate([record.seen for record in records], axis=1)
            counts = np.concatenate([record.groups[0] for record in records])
            rate = np.where(given > 0, won / np.maximum(given, 1), -1.0)
            which = np.searchsorted([low for low, _ in BINS], rate, side="right") - 1
            total, groups_in = np.bincount(which, counts, len(BINS)), np.bincount(which, minlength=len(BINS))
            table.append((variant, *(f"{t / n:.1f}" if n else "" for t, n in zip(total, groups_in, strict=True))))
            if variant == "uniform":
                share = ("share of uniform's groups", *(f"{n / groups_in.sum():.0%}" for n in groups_in))
    return lines([*table, share] if "uniform" in runs else table)
