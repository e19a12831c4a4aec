"""What a training run leaves behind: one line per round and per evaluation, appended as it happens."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cero_api.files import write_whole

FILE = "history.jsonl"


@dataclass(frozen=True)
class Round:
    """One generation batch, as the allocator dealt it.

    Attributes:
        step: Optimizer step, from 1.
        rollouts: Spent so far, this round included.
        prompts: Pool rows that got rollouts.
        counts: Rollouts of each.
        successes: Of each, how many were solved.
        price: CERO's normalized budget price after the round; None for allocators without one.
        allocator_seconds: Time spent in allocate and observe.
        seconds: Wall time of the training so far, evaluations not included.
        tokens: Generated for each prompt, all of its rollouts together; None in a history from before they were.
    """

    step: int
    rollouts: int
    prompts: list[int]
    counts: list[int]
    successes: list[float]
    price: float | None
    allocator_seconds: float
    seconds: float
    tokens: list[int] | None = None

    @property
    def effective(self) -> int:
        """Groups with both a success and a failure: those that teach."""
        return sum(0 < s < n for s, n in zip(self.successes, self.counts, strict=True))


@dataclass(frozen=True)
class Evaluation:
    """Held-out accuracy of one checkpoint.

    Attributes:
        step: Optimizer step; 0 is the starting model.
        rollouts: Spent so far.
        rates: Of each held-out prompt, the share of its samples that were solved.
        greedy: Accuracy of greedy decoding.
    """

    step: int
    rollouts: int
    rates: list[float]
    greedy: float

    @property
    def sampled(self) -> float:
        """Accuracy as the mean over prompts and samples."""
        return sum(self.rates) / len(self.rates)


@dataclass(frozen=True)
class History:
    """A run as read back from its folder."""

    rounds: list[Round]
    evaluations: list[Evaluation]

    @property
    def step(self) -> int:
        """Last step on record, 0 before the first."""
        return self.rounds[-1].step if self.rounds else 0


def append(folder: Path, record: Round | Evaluation) -> None:
    """Add a record to the run's file.

    Args:
        folder: The run's.
        record: What happened.
    """
    with (folder / FILE).open("a") as file:
        file.write(json.dumps({"kind": type(record).__name__, **asdict(record)}) + "\n")


def read(folder: Path) -> History:
    """Read a run's records; a last line torn by a kill is left out.

    Args:
        folder: The run's.

    Returns:
        Its history, empty if it has not begun.
    """
    rounds, evaluations = [], []
    for fields in _lines(folder / FILE):
        kind = fields.pop("kind")
        if kind == "Round":
            rounds.append(Round(**fields))
        else:
            evaluations.append(Evaluation(**fields))
    return History(rounds, evaluations)


def rewind(folder: Path, step: int) -> None:
    """Forget what came after a step, so that a resumed run does not record it twice.

    Args:
        folder: The run's.
        step: The last step to keep.
    """
    path = folder / FILE
    kept = [json.dumps(fields) + "\n" for fields in _lines(path) if fields["step"] <= step]
    write_whole(path, "".join(kept))


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines(keepends=True) if line.endswith("\n")]
