"""Arithmetic of mixed difficulty from reasoning-gym's `chain_sum`, as a few-shot text that a base model can go on."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

# Terms and digits: from sums that the model often solves to sums that it never does.
CLASSES = ((2, 1), (3, 1), (2, 2), (4, 1), (3, 2), (2, 3))
SHOTS = "2 + 3 = 5\n9 - 4 = 5\n"
MAX_NEW_TOKENS = 6  # a sign, four digits and the end of the line

Split = Literal["pool", "heldout"]


@dataclass(frozen=True)
class Sum:
    """One prompt and what its scorer needs.

    Attributes:
        prompt: shots and the open sum, for example ``4 - 1 =``.
        kind: terms and digits.
        entry: the reasoning-gym item.
    """

    prompt: str
    kind: tuple[int, int]
    entry: Mapping[str, Any]


@cache
def _dataset(kind: tuple[int, int], size: int = 4000) -> Any:
    import reasoning_gym

    terms, digits = kind
    sizes = {"min_terms": terms, "max_terms": terms, "min_digits": digits, "max_digits": digits}
    return reasoning_gym.create_dataset("chain_sum", seed=20_261_009, size=size, **sizes)


@cache
def _shelf(kind: tuple[int, int], split: Split) -> tuple[Sum, ...]:
    found: dict[str, Sum] = {}
    for entry in _dataset(kind):
        prompt = f"{SHOTS}{entry['metadata']['expression']} ="
        # By content: the same sum is never in both.
        mine: Split = "heldout" if hashlib.blake2b(prompt.encode()).digest()[0] < 64 else "pool"
        if mine == split:
            found.setdefault(prompt, Sum(prompt, kind, entry))
    return tuple(found.values())


def draw(split: Split, count: int, seed: int) -> list[Sum]:
    """Distinct sums, equally many of each class as far as `count` allows, shuffled.

    Args:
        split: which of the two disjoint ones.
        count: how many.
        seed: of the draw.
    """
    rng = random.Random(seed)
    shelves = [rng.sample(_shelf(kind, split), len(_shelf(kind, split))) for kind in CLASSES]
    drawn: list[Sum] = []
    while len(drawn) < count:
        filled = [shelf for shelf in shelves if shelf]
        if not filled:
            raise ValueError(f"only {len(drawn)} of {count} sums exist; ask for fewer")
        drawn += [shelf.pop() for shelf in filled]
    drawn = drawn[:count]
    rng.shuffle(drawn)
    return drawn


def solved(question: Sum, completion: str) -> bool:
    """Whether the completion's first line is the answer and nothing else, by reasoning-gym's scorer."""
    line = completion.split("\n", 1)[0].strip()
    return line == str(question.entry["answer"]) and _dataset(question.kind).score_answer(line, question.entry) >= 1.0
