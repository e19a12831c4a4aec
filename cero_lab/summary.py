"""What a comparison of the demo says: a record and a line for each training, and a verdict for each allocator."""

from __future__ import annotations

from itertools import accumulate

from cero_api.analysis.learning import Interval, TrainingRecord, TrainingResult, smoothed
from cero_api.analysis.report import matched
from cero_lab.evidence.record import signal_per_rollout
from cero_lab.history import History

HOW = (
    "Accuracy is held out: other prompts of the pool's own mixture, mean probability of the right answer.",
    "Known before the first visit are a prompt's length and its task, which nearly settle what is within reach in "
    "these pools: a best case for whoever goes by them.",
)

SAVING, LOSS, NO_CLAIM = "a saving", "a LOSS", "no claim"


def record_of(allocator: str, start: str, seed: int, regime: str, history: History) -> TrainingRecord:
    """A training in numbers, as `cero report` takes them.

    Args:
        allocator: Its name.
        start: Name of the model that it began from.
        seed: Of the training.
        regime: What is equal for all.
        history: Of the training, complete.
    """
    rounds, evaluations = history.rounds, history.evaluations
    spent = [0, *accumulate(sum(r.tokens or ()) for r in rounds)]
    return TrainingRecord(
        label=allocator,
        start=start,
        seed=seed,
        regime=regime,
        rollouts=[e.rollouts for e in evaluations],
        accuracy=[e.sampled for e in evaluations],
        tokens=[spent[e.step] for e in evaluations] if all(r.tokens for r in rounds) else None,
        effective_group_rate=sum(r.effective for r in rounds) / sum(len(r.counts) for r in rounds),
        signal_per_rollout=signal_per_rollout([r.counts for r in rounds], [r.successes for r in rounds]),
        optimizer_steps=rounds[-1].step,
        allocator_seconds=sum(r.allocator_seconds for r in rounds),
        seconds=rounds[-1].seconds,
    )


def training_cells(name: str, record: TrainingRecord) -> dict[str, str]:
    """One training as a line of a table, texts by heading.

    Args:
        name: Of the training.
        record: Its numbers.
    """
    tokens = "" if record.tokens is None else f"{record.tokens[-1]:,}"
    return {
        "training": name,
        "accuracy": f"{record.accuracy[0]:.3f} → {smoothed(record.accuracy)[-1]:.3f}",
        "tokens": tokens,
        "effective": f"{record.effective_group_rate:.1%}",
        "signal": f"{record.signal_per_rollout:.3f}",
        "allocator": f"{record.allocator_seconds:.2f} s",
        "time": f"{record.seconds:.0f} s",
    }


def verdict(label: str, result: TrainingResult) -> str:
    """One plain sentence, which claims no more than the trainings can bear out.

    Starts differ in what can be saved from them, so one start claims nothing however many seeds there are; of several,
    an interval on one side of 1 is a saving or a loss, of rollouts and of tokens each for itself.

    Args:
        label: Of the allocator.
        result: Its numbers against uniform's; with none to compare with, nothing is claimed.
    """
    name, found = label.upper(), result.against
    if found is None or found.rollouts is None:
        return f"{name}: nothing to compare, {NO_CLAIM}."
    matches = {"rollouts": found.rollouts} | ({"tokens": found.tokens} if found.tokens else {})
    took = " and ".join(f"{matched(match, along=True)} of its {what}" for what, match in matches.items())
    said = f"{name} came as far as uniform with {took}, along the curve"
    if result.starts < 2:
        seeds = "one seed" if result.trainings == 1 else f"{result.trainings} seeds"
        return f"{said}. One start and {seeds}: {NO_CLAIM}."
    claims = {what: claim(match.along) for what, match in matches.items()}
    if len(set(claims.values())) == 1:
        return f"{said}. {result.starts} starts: {claims['rollouts']}."
    told = ", ".join(f"{outcome} of {what}".replace("claim of", "claim about") for what, outcome in claims.items())
    return f"{said}. {result.starts} starts: {told}."


def claim(ratio: Interval) -> str:
    """What an interval of a ratio says, 1 being equal.

    >>> claim(Interval(0.8, 0.7, 0.9)), claim(Interval(0.8, 0.6, 1.1)), claim(Interval(1.2, 1.1, 1.3))
    ('a saving', 'no claim', 'a LOSS')
    """
    return SAVING if ratio.high < 1 else LOSS if ratio.low > 1 else NO_CLAIM
