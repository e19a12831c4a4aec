"""The numbers of the closing table, and how they are smoothed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cero_api.analysis.learning.curve import WINDOW, smoothed
from cero_lab.history import Evaluation, History

HOW = (
    f"Accuracy is held out: fresh prompts of the pool's own mixture, mean over prompts and samples. "
    f"Final values are means over the last {WINDOW} evaluations. Rollouts to match: where the accuracy, averaged over "
    f"{WINDOW} evaluations, first reaches uniform's final value. ± is the standard error over held-out prompts."
)

HEADINGS = (
    "seed",
    "allocator",
    "sampled accuracy",
    "greedy accuracy",
    "rollouts to match",
    "effective groups",
    "allocator time",
    "training time",
)


@dataclass(frozen=True)
class Summary:
    """One run in numbers.

    Attributes:
        allocator: Its name.
        seed: Of the run.
        rollouts: Spent.
        start: Held-out sampled accuracy of the starting model.
        final: The same at the end.
        greedy_start: Held-out greedy accuracy of the starting model.
        greedy: The same at the end.
        effective: Share of groups with both a success and a failure.
        to_match: Rollouts until uniform's final accuracy was reached; None if it was not.
        allocator_seconds: Spent in allocate and observe, over the whole run.
        seconds: Wall time of the training, evaluations not included.
        rates: Final success rate of each held-out prompt.
    """

    allocator: str
    seed: int
    rollouts: int
    start: float
    final: float
    greedy_start: float
    greedy: float
    effective: float
    to_match: int | None
    allocator_seconds: float
    seconds: float
    rates: tuple[float, ...]


def rollouts_to_reach(evaluations: Sequence[Evaluation], target: float) -> int | None:
    """Rollouts spent when the smoothed sampled accuracy first reaches a target; None if it never does."""
    reached = np.flatnonzero(smoothed([e.sampled for e in evaluations]) >= target - 1e-9)
    return evaluations[reached[0]].rollouts if reached.size else None


def summarize(allocator: str, seed: int, history: History, target: float | None) -> Summary:
    """Put a run into numbers.

    Args:
        allocator: Its name.
        seed: Of the run.
        history: Of the run, complete.
        target: Uniform's final accuracy on this seed; None if uniform did not run.

    Returns:
        The summary.
    """
    evaluations, rounds = history.evaluations, history.rounds
    return Summary(
        allocator=allocator,
        seed=seed,
        rollouts=rounds[-1].rollouts,
        start=evaluations[0].sampled,
        final=final_accuracy(history),
        greedy_start=evaluations[0].greedy,
        greedy=float(smoothed([e.greedy for e in evaluations])[-1]),
        effective=sum(r.effective for r in rounds) / sum(len(r.counts) for r in rounds),
        to_match=None if target is None else rollouts_to_reach(evaluations, target),
        allocator_seconds=sum(r.allocator_seconds for r in rounds),
        seconds=rounds[-1].seconds,
        rates=tuple(np.mean([e.rates for e in evaluations[-WINDOW:]], axis=0).tolist()),
    )


def final_accuracy(history: History) -> float:
    """Held-out sampled accuracy at the end, smoothed."""
    return float(smoothed([e.sampled for e in history.evaluations])[-1])


def verdict(summary: Summary, uniform: Summary) -> str:
    """One plain sentence: did the allocator beat uniform on this seed, at equal rollouts?

    Args:
        summary: Of the allocator.
        uniform: Of uniform on the same seed.

    Returns:
        The sentence; it says so when uniform won. ± is the standard error of the prompts' paired differences, so it
        knows the noise of the evaluation, not that of another training seed.
    """
    difference = np.subtract(summary.rates, uniform.rates)
    mean = float(difference.mean())
    error = float(difference.std() / np.sqrt(difference.size))
    name = summary.allocator.upper()
    outcome = f"{name} LOSES to uniform by" if mean < 0 else f"{name} beats uniform by"
    sentence = f"seed {summary.seed}: {outcome} {abs(mean):.3f} ± {error:.3f} at equal rollouts"
    if abs(mean) < 2 * error:
        sentence += " (within noise)"
    if not summary.to_match:
        return f"{sentence}; it never reaches uniform's final accuracy"
    share = summary.to_match / (uniform.to_match or summary.to_match)
    return f"{sentence}; it reaches uniform's final accuracy with {share:.0%} of the rollouts that uniform took"


def table_rows(summaries: Sequence[Summary]) -> list[list[str]]:
    """The closing table: for each seed the starting model, then every allocator.

    Args:
        summaries: Of the runs.

    Returns:
        Rows of texts under `HEADINGS`.
    """
    rows = []
    for seed in dict.fromkeys(s.seed for s in summaries):
        runs = [s for s in summaries if s.seed == seed]
        rows.append([str(seed), "(start)", f"{runs[0].start:.3f}", f"{runs[0].greedy_start:.3f}", "", "", "", ""])
        reference = next((s.to_match for s in runs if s.allocator == "uniform"), None)
        rows += [_row(s, reference) for s in runs]
    return rows


def _row(summary: Summary, reference: int | None) -> list[str]:
    match = "-" if summary.to_match is None else f"{summary.to_match:,}"
    if summary.to_match is not None and reference and summary.allocator != "uniform":
        match += f" ({summary.to_match / reference:.2f}x)"
    return [
        str(summary.seed),
        summary.allocator,
        f"{summary.final:.3f}",
        f"{summary.greedy:.3f}",
        match,
        f"{summary.effective:.1%}",
        f"{summary.allocator_seconds:.2f} s",
        f"{summary.seconds:.0f} s",
    ]
