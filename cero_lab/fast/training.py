"""One training: rounds that a driver makes, an optimizer step after each, and exact evaluations between them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from cero_api import RolloutOutcomes
from cero_api.errors import BudgetError
from cero_lab.fast.chances import chances
from cero_lab.fast.driver import Answer, Driver, Ints
from cero_lab.fast.learner import Learner, Wave
from cero_lab.fast.questions import Questions
from cero_lab.settings import TrainSettings


@dataclass(frozen=True)
class Round:
    """What one round generated, prompt by prompt: pool rows, rollouts, successes and tokens of each."""

    prompts: list[int]
    counts: list[int]
    successes: list[int]
    tokens: list[int]


@dataclass
class Training:
    """What a training leaves behind; the first evaluation is of the starting model.

    Args:
        rollouts: generated in all at each evaluation.
        tokens: the same in tokens.
        accuracy: held out, at each evaluation: mean probability of the right answer.
        rounds: in order.
        seconds: wall time, evaluations not included.
        driver_seconds: of these, what the driver took for itself.
        processor_seconds: evaluations included.
    """

    rollouts: list[int] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    seconds: float = 0.0
    driver_seconds: float = 0.0
    processor_seconds: float = 0.0


def train(learner: Learner, driver: Driver, heldout: Questions, sizes: TrainSettings, every: int) -> Training:
    """Train from here to the end.

    Args:
        learner: with its pool.
        driver: who decides.
        heldout: for the evaluations.
        sizes: of the training; a driver that asks for more rollouts than its budget is refused.
        every: rounds between evaluations.

    Returns:
        Its rounds and its curve.

    Raises:
        BudgetError: the driver asks for more than the budget.
    """
    training = Training()
    processor = time.process_time()
    for number in range(sizes.rounds + 1):
        spent = sum(sum(past.counts) for past in training.rounds)
        # Once a driver has spent everything and asks for nothing more, the last evaluation stands.
        if (number % every == 0 or number == sizes.rounds) and spent not in training.rollouts:
            training.accuracy.append(float(chances(learner.network, heldout).mean()))
            training.rollouts.append(spent)
            training.tokens.append(sum(sum(past.tokens) for past in training.rounds))
        if number < sizes.rounds:
            _play(learner, driver, training, sizes.budget)
    training.processor_seconds = time.process_time() - processor
    return training


def _play(learner: Learner, driver: Driver, training: Training, budget: int) -> None:
    """A round and its step."""
    began, inside = time.perf_counter(), 0.0
    spent = sum(sum(past.counts) for past in training.rounds)
    waves: list[Wave] = []

    def ask(rows: Ints, counts: Ints) -> Answer:
        nonlocal inside
        entered = time.perf_counter()
        if spent + sum(len(wave.rows) for wave in waves) + counts.sum() > budget:
            raise BudgetError(f"round {len(training.rounds)} asks for more than the budget of {budget}; ask for fewer")
        wave = learner.generate(rows[counts > 0], counts[counts > 0])
        waves.append(wave)
        answer = _summed(wave, rows)
        inside += time.perf_counter() - entered
        return answer

    kept = driver.play(ask)
    training.driver_seconds += time.perf_counter() - began - inside
    if waves and (kept is None or kept.size):
        learner.step(waves, kept)
    training.rounds.append(_round(waves))
    training.seconds += time.perf_counter() - began


def _summed(wave: Wave, rows: Ints) -> Answer:
    """A wave by prompt, in a given order."""
    place = np.argsort(rows)
    of = place[np.searchsorted(rows, wave.rows, sorter=place)]
    won = np.bincount(of, wave.rewards, minlength=rows.size)
    lost = np.bincount(of, minlength=rows.size) - won
    tokens = np.bincount(of, wave.completions.lengths.numpy(), minlength=rows.size).astype(np.int64)
    return Answer(RolloutOutcomes(rows, won, lost), tokens)


def _round(waves: list[Wave]) -> Round:
    """All waves by prompt, in the order of their first rollouts."""
    if not waves:
        return Round([], [], [], [])
    every = np.concatenate([wave.rows for wave in waves])
    _, first = np.unique(every, return_index=True)
    rows = every[np.sort(first)]
    parts = [_summed(wave, rows) for wave in waves]
    return Round(
        prompts=rows.tolist(),
        counts=np.sum([part.outcomes.rollouts for part in parts], axis=0).tolist(),
        successes=np.rint(np.sum([part.outcomes.successes for part in parts], axis=0)).astype(int).tolist(),
        tokens=np.sum([part.tokens for part in parts], axis=0).tolist(),
    )
