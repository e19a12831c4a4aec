"""What is published of a training: enough for every table, a line in the file of its regime."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Self

from cero_api.analysis.learning import TrainingRecord, by_regime, read_records, write_trainings
from cero_lab.evidence.record import Record


class Published(TrainingRecord):
    """A training's curve, and what became of its rollouts; None where a record is older than the field.

    Attributes:
        early_signal: Signal per rollout in the first half of the training.
        unevenness: Standard deviation of the prompts' rollouts over their mean.
        quarters: Share of effective groups in each quarter.
        seen_groups: Groups by what had been seen of their prompt, see `record.SEEN`.
        seen_rollouts: Rollouts of the same.
    """

    early_signal: float | None = None
    unevenness: float | None = None
    quarters: tuple[float, ...] | None = None
    seen_groups: tuple[int, ...] | None = None
    seen_rollouts: tuple[int, ...] | None = None

    @classmethod
    def of(cls, regime: str, record: Record) -> Self:
        """From all that is known of a training, in digits that no table needs more of."""
        rollouts, groups = record.served
        told = {name: value for name, value in record if name in TrainingRecord.model_fields}
        told |= {
            "regime": regime,
            "start": record.start or record.settings.start.name,
            "accuracy": [round(share, 5) for share in record.accuracy],
            "effective_group_rate": round(record.effective_group_rate, 5),
            "signal_per_rollout": round(record.signal_per_rollout, 5),
            "allocator_seconds": round(record.allocator_seconds, 3),
            "seconds": round(record.seconds, 2),
        }
        return cls(
            **told,
            early_signal=round(record.early_signal, 5),
            unevenness=round(record.unevenness, 4),
            quarters=tuple(round(share, 4) for share in record.effective_by_part(4)),
            seen_groups=groups,
            seen_rollouts=rollouts,
        )


def read_published(folder: Path) -> list[Published]:
    """All that has been published.

    Args:
        folder: of the files.
    """
    return read_records([folder], Published)


def write_regimes(records: Iterable[TrainingRecord], folder: Path) -> list[Path]:
    """Write one file a regime.

    Args:
        records: of all trainings.
        folder: for the files.
    """
    written = []
    for regime, mine in by_regime(records).items():
        written.append(folder / f"{regime}.json")
        write_trainings(mine, written[-1])
    return written
