"""The allocator's books over a training: rounds are dealt, closed when their last group is over, and told of."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cero_api import RolloutAllocator
from cero_api.adapting import Judge, RewardWatch, round_numbers
from cero_api.adapting.records import RoundRecord, contrast_of, outcomes_of, record_of
from cero_tinker.checkpoint import Progress, save_state
from cero_tinker.config import CeroTinkerConfig, Schedule
from cero_tinker.prompts import Prompts
from cero_tinker.rounds import Round, scores_of

__all__ = ["Books", "RoundRecord"]

logger = logging.getLogger(__name__)

PREFIX = "cero/"


class Books:
    """Deals the rounds of a training and learns from what they earned.

    Args:
        allocator: over the rows of `prompts`.
        prompts: of the dataset.
        schedule: of the training.
        settings: of the adapter.
        limited: reasons to stop for which the cookbook makes a positive reward zero.
        folder: of the states; None keeps none.
        due: whether the cookbook saves a checkpoint after so many steps.
        progress: what is saved beside the allocator, as it stands now.
        listeners: called with every round.
    """

    def __init__(
        self,
        allocator: RolloutAllocator,
        prompts: Prompts,
        schedule: Schedule,
        settings: CeroTinkerConfig,
        *,
        limited: frozenset[str],
        folder: Path | None,
        due: Callable[[int], bool],
        progress: Progress,
        listeners: Sequence[Callable[[RoundRecord], None]] = (),
    ) -> None:
        self.allocator = allocator
        self.schedule = schedule
        self._prompts = prompts
        self._settings = settings
        self._limited = limited
        self._folder = folder
        self._due = due
        self._progress = progress
        self._listeners = listeners
        self._judge = Judge(settings)
        self._watch = RewardWatch(settings)
        self._step = progress.step
        self._error: Exception | None = None
        self._lock = threading.RLock()  # groups may be rolled out in threads

    def deal(self, index: int) -> Round:
        """The round of the dataset's batch `index`.

        Raises:
            ConfigurationError: a builder of an earlier round made another number of environments than was dealt.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            total = self.schedule.totals[index]
            rows = None if self._settings.chooses else self._prompts.candidates(index)
            started = time.perf_counter()
            allocation = self.allocator.allocate(rows, total=total)
            round = Round(self._step, allocation, time.perf_counter() - started)
            self._step += 1
            return round

    def failed(self, error: Exception) -> None:
        """Something that must not go on, wherever it is noticed: the next round raises it."""
        self._error = self._error or error  # the first says most

    def scored(
        self,
        round: Round,
        place: int,
        trajectories: Sequence[Any],
        rewards: Sequence[tuple[Any, Any]],
        numbers: dict[str, float],
    ) -> None:
        """A group's rollouts have their rewards; the round's own metrics will be put into `numbers`."""
        scores = scores_of(trajectories, rewards, numbers, self._settings.success_metric, self._limited)
        with self._lock:
            round.scores[place] = scores

    def closed(self, round: Round, place: int) -> None:
        """A group is over, with rewards or without; with the last one, so is the round."""
        with self._lock:
            if place in round.over:
                return
            round.over.add(place)
            if round.complete:
                self._learn(round)

    def _learn(self, round: Round) -> None:
        rows = round.allocation.prompt_ids_per_rollout
        judged, totals = round.column("judged"), np.array(round.column("totals"), dtype=np.float64)
        shares = self._judge.shares(judged, [_Named(self._prompts, int(row)) for row in rows])
        if self._watch.waiting and self._settings.success_metric is None:
            advice = self._watch.look(rows, totals, shares)
            if advice is not None:
                warnings.warn(advice, stacklevel=2)
        tokens = np.array(round.column("tokens"), dtype=np.float64)
        outcomes = outcomes_of(round.allocation, shares, tokens)
        started = time.perf_counter()
        if outcomes is not None:
            self.allocator.observe(outcomes)
        round.seconds += time.perf_counter() - started
        so_far = self._progress.rollouts_so_far + round.allocation.total
        self._progress = self._progress.model_copy(update={"step": round.step + 1, "rollouts_so_far": so_far})
        record = record_of(round.allocation, outcomes, rollouts_so_far=so_far, allocator_seconds=round.seconds)
        self._log(round, record, totals)
        for listener in self._listeners:
            listener(record)
        if self._folder is not None and self._due(round.step + 1):
            save_state(self._folder, self.allocator, self._progress)

    def _log(self, round: Round, record: RoundRecord, totals: Any) -> None:
        contrast = contrast_of(record.counts, totals)
        numbers = {
            **round_numbers(record.counts, record.successes, record.failures, contrast, record.squares, record.tokens),
            **self._judge.numbers(),
            "rollouts_so_far": float(record.rollouts_so_far),
            "allocator_seconds": record.allocator_seconds,
            **self.allocator.metrics(),
        }
        named = {f"{PREFIX}{name}": float(value) for name, value in numbers.items()}
        for scores in round.scores.values():
            scores.numbers.update(named)


class _Named:
    """A prompt in words, when somebody asks."""

    def __init__(self, prompts: Prompts, row: int) -> None:
        self._prompts = prompts
        self._row = row

    def __str__(self) -> str:
        return self._prompts.named(self._row)
