"""One run's numbers as JSON, read back only if it is the run that is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cero_api.analysis.learning import TrainingRecord
from cero_api.errors import TraceError
from cero_lab.history import History, Round
from cero_lab.settings import RunSettings

# Success rates that had been seen of a prompt before a round: lower ends, and what they are called.
SEEN = ((-1.0, "not seen"), (0.0, "never right"), (1e-9, "below ¼"), (0.25, "¼ to ¾"), (0.75, "¾ and more"))


class Record(TrainingRecord):
    """A finished run; its accuracy is the mean over prompts of the probability of the right answer.

    Attributes:
        settings: all of them.
        greedy: accuracy of greedy decoding at the end.
        rates: of each held-out prompt at the end, the probability of the right answer.
        prompts: pool rows that got rollouts, round by round.
        counts: rollouts of each.
        successes: of each.
    """

    effective_group_rate: float
    signal_per_rollout: float
    allocator_seconds: float
    seconds: float
    settings: RunSettings
    greedy: float
    rates: list[float]
    prompts: list[list[int]]
    counts: list[list[int]]
    successes: list[list[float]]

    @classmethod
    def of(cls, variant: str, settings: RunSettings, history: History) -> Record:
        """From what a training leaves behind."""
        rounds: list[Round] = history.rounds
        return cls(
            label=variant,
            seed=settings.seed,
            settings=settings,
            rollouts=[e.rollouts for e in history.evaluations],
            accuracy=[e.sampled for e in history.evaluations],
            effective_group_rate=sum(r.effective for r in rounds) / sum(len(r.counts) for r in rounds),
            signal_per_rollout=signal_per_rollout([r.counts for r in rounds], [r.successes for r in rounds]),
            optimizer_steps=rounds[-1].step,
            greedy=history.evaluations[-1].greedy,
            rates=[round(rate, 5) for rate in history.evaluations[-1].rates],
            prompts=[r.prompts for r in rounds],
            counts=[r.counts for r in rounds],
            successes=[r.successes for r in rounds],
            allocator_seconds=sum(r.allocator_seconds for r in rounds),
            seconds=rounds[-1].seconds,
        )

    @property
    def groups(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Size and successes of every group, in order."""
        return np.concatenate(self.counts), np.concatenate(self.successes)

    @property
    def seen(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Successes and rollouts that each group's prompt had had before the group's round."""
        won, given = np.zeros((2, self.settings.train.prompts))
        before = []
        for rows, counts, successes in zip(self.prompts, self.counts, self.successes, strict=True):
            before.append((won[rows], given[rows]))
            won[rows] += successes
            given[rows] += counts
        first, second = zip(*before, strict=True)
        return np.concatenate(first), np.concatenate(second)

    @property
    def served(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Rollouts and groups by what had been seen of their prompt, see `SEEN`."""
        won, given = self.seen
        counts = self.groups[0]
        rate = np.where(given > 0, won / np.maximum(given, 1), -1.0)
        which = np.searchsorted([low for low, _ in SEEN], rate, side="right") - 1
        total, groups = np.bincount(which, counts, len(SEEN)), np.bincount(which, minlength=len(SEEN))
        return tuple(total.astype(int).tolist()), tuple(groups.tolist())

    @property
    def early_signal(self) -> float:
        """Signal per rollout in the first half of the training."""
        half = len(self.counts) // 2
        return signal_per_rollout(self.counts[:half], self.successes[:half])

    @property
    def unevenness(self) -> float:
        """Standard deviation of the prompts' rollouts over the whole training, over their mean."""
        pool = self.settings.train.prompts
        given = np.bincount(np.concatenate(self.prompts), np.concatenate(self.counts), minlength=pool)
        return float(given.std() / given.mean())

    def effective_by_part(self, parts: int) -> list[float]:
        """The same for equal parts of the training, in order."""
        rounds = np.array_split(np.arange(len(self.counts)), parts)
        sizes = [np.concatenate([self.counts[k] for k in part]) for part in rounds]
        won = [np.concatenate([self.successes[k] for k in part]) for part in rounds]
        return [float(((s > 0) & (s < n)).mean()) for n, s in zip(sizes, won, strict=True)]


def signal_per_rollout(counts: Sequence[Sequence[int]], successes: Sequence[Sequence[float]]) -> float:
    """Mean over rollouts of the unbiased variance of their group's rewards.

    Args:
        counts: of every group, round by round.
        successes: of the same groups.

    >>> signal_per_rollout([[4], [4]], [[2.0], [0.0]])
    0.16666666666666666
    """
    n, won = np.concatenate(counts), np.concatenate(successes)
    return float((n * group_variance(n, won)).sum() / n.sum())


def group_variance(n: NDArray[np.int64], won: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unbiased variance of the rewards of groups of n with so many successes; 0 for a group of one."""
    return np.asarray(won * (n - won) / np.maximum(n * (n - 1), 1))


def path_of(folder: Path, regime: str, variant: str, seed: int) -> Path:
    """Where a run's numbers are."""
    return folder / regime / f"{variant}-seed{seed}.json"


def load(path: Path, settings: RunSettings | None = None) -> Record | None:
    """Read a run; None if it has not been made, or was made with other settings than these."""
    try:
        record = Record.load(path)
    except TraceError:
        return None
    return record if settings is None or same_training(record.settings, settings) else None


def same_training(one: RunSettings, other: RunSettings) -> bool:
    """Whether two settings are the same but for the folder of the checkpoint, whose name tells its content."""

    def told(settings: RunSettings) -> str:  # through JSON, which knows no tuples
        return settings.model_copy(update={"start": Path(settings.start.name)}).model_dump_json()

    return told(one) == told(other)
