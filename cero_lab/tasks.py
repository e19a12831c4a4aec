"""Prompt pools for the demo: two reasoning-gym tasks, shortened, judged by reasoning-gym's own scorers."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from cero_lab.settings import PoolName

Split = Literal["warmstart", "pool", "heldout"]

# Every character a prompt or an answer can hold; the first of a prompt names the task.
ALPHABET = "abcdefghijklmnopqrstuvwxyz123RC="
_LETTERS = frozenset(ALPHABET)


@dataclass(frozen=True)
class Puzzle:
    """One prompt and what its scorer needs.

    Attributes:
        task: Name of the reasoning-gym dataset it comes from.
        prompt: The compact prompt, for example ``Rstone=``.
        answer: The expected completion, for example ``enots``.
        length: Characters in the answer, which is what makes a puzzle hard.
        entry: The reasoning-gym item, for its scorer.
    """

    task: str
    prompt: str
    answer: str
    length: int
    entry: Mapping[str, Any]


def _spell_backward(entry: Mapping[str, Any]) -> tuple[str, str]:
    return f"R{entry['metadata']['word'].lower()}=", entry["answer"].lower()


def _caesar_cipher(entry: Mapping[str, Any]) -> tuple[str, str]:
    meta = entry["metadata"]
    return f"C{meta['rotation']}{meta['cipher_text'].lower()}=", entry["answer"].lower()


_COMPACT = {"spell_backward": _spell_backward, "caesar_cipher": _caesar_cipher}
WORDS = tuple(_COMPACT)  # the tasks whose puzzles are single words
TEXTS = "caesar_text"  # a few words to decipher, run together: answers several times as long
_LONGEST_TEXT = 24

_OPTIONS: dict[str, dict[str, Any]] = {
    "spell_backward": {"min_word_len": 3, "max_word_len": 10},
    # Single words: the delimiter is what the cipher's source text is cut by.
    "caesar_cipher": {"delimiter": " ", "min_words": 1, "max_words": 1, "min_rotation": 1, "max_rotation": 1},
}


@cache
def _dataset(task: str, size: int = 40_000) -> Any:
    # The package imports all of its hundred tasks at once (a second), hence not at module level.
    import reasoning_gym

    return reasoning_gym.create_dataset(task, seed=20_260_605, size=size, **_OPTIONS[task])


def _split_of(prompt: str) -> Split:
    """Which split a prompt belongs to, by its content: the same prompt is never in two of them."""
    bucket = hashlib.blake2b(prompt.encode(), digest_size=2).digest()[0]
    return "heldout" if bucket < 48 else "pool" if bucket < 112 else "warmstart"


def _lengths(task: str, shortest: int, longest: int, share: float) -> dict[tuple[str, int], float]:
    """Spread a share evenly over a range of answer lengths."""
    lengths = range(shortest, longest + 1)
    return {(task, n): share / len(lengths) for n in lengths}


# Share of each (task, answer length). After the warm start, answers of up to five characters are sometimes right, and
# the long ones of the hard pool never are. "lengths" is for a start of its own (cero_lab/grid/starts.py), whose reach
# ends in the middle of either task: dear and cheap prompts are within it, and dear and cheap ones beyond.
_SPELL, _CIPHER = _COMPACT
MIXTURES: Mapping[PoolName, Mapping[tuple[str, int], float]] = {
    "hardest": {
        **_lengths(_SPELL, 3, 5, 0.12),
        **_lengths(_CIPHER, 3, 5, 0.04),
        **_lengths(_SPELL, 9, 10, 0.74),
        **_lengths(_CIPHER, 9, 10, 0.1),
    },
    "hard": {
        **_lengths(_SPELL, 3, 5, 0.34),
        **_lengths(_CIPHER, 3, 5, 0.11),
        **_lengths(_SPELL, 10, 10, 0.28),
        **_lengths(_CIPHER, 8, 10, 0.27),
    },
    "mixed": {
        **_lengths(_SPELL, 3, 6, 0.57),
        **_lengths(_CIPHER, 3, 6, 0.18),
        **_lengths(_SPELL, 7, 9, 0.19),
        **_lengths(_CIPHER, 7, 9, 0.06),
    },
    "easy": {**_lengths(_SPELL, 3, 5, 0.75), **_lengths(_CIPHER, 3, 5, 0.25)},
    "lengths": {
        **_lengths(_SPELL, 3, 5, 0.2),
        **_lengths(_SPELL, 7, 8, 0.1),
        **_lengths(_SPELL, 10, 10, 0.2),
        **_lengths(TEXTS, 10, 14, 0.25),
        **_lengths(TEXTS, 18, 20, 0.25),
    },
}


def _words(task: str) -> Iterator[Puzzle]:
    for entry in _dataset(task):
        prompt, answer = _COMPACT[task](entry)
        yield Puzzle(task, prompt, answer, len(answer), entry)


def _texts() -> Iterator[Puzzle]:
    """Words of the ciphers, two to five in a row."""
    words, rng = [entry["answer"] for entry in _dataset(_CIPHER)], random.Random(0)
    shift = {chr(a): chr((a - ord("a") + 1) % 26 + ord("a")) for a in range(ord("a"), ord("z") + 1)}
    for first in range(0, len(words) - 5, 5):
        chosen = words[first : first + rng.randint(2, 5)]
        answer = "".join(chosen).lower()
        if len(answer) <= _LONGEST_TEXT and answer.isascii() and answer.isalpha():
            prompt = f"C1{''.join(shift[c] for c in answer)}="
            yield Puzzle(TEXTS, prompt, answer, len(answer), {"answer": " ".join(chosen)})


@cache
def _splits(task: str) -> dict[Split, dict[str, Puzzle]]:
    splits: dict[Split, dict[str, Puzzle]] = {"warmstart": {}, "pool": {}, "heldout": {}}
    for puzzle in _texts() if task == TEXTS else _words(task):
        if _LETTERS.issuperset(puzzle.prompt + puzzle.answer):
            splits[_split_of(puzzle.prompt)][puzzle.prompt] = puzzle
    return splits


def corpus(split: Split, tasks: Iterable[str] = WORDS) -> list[Puzzle]:
    """Every distinct puzzle of a split, in a fixed order.

    Args:
        split: Which of the three disjoint splits.
        tasks: Whose puzzles.

    Returns:
        Puzzles without repeated prompts.
    """
    return [puzzle for task in tasks for puzzle in _splits(task)[split].values()]


def pool(name: PoolName, count: int, seed: int) -> list[Puzzle]:
    """Draw the prompts to train on.

    Args:
        name: Of the mixture.
        count: How many.
        seed: Of the draw.

    Returns:
        Distinct puzzles; none is in the warm start or held out.
    """
    return draw("pool", MIXTURES[name], count, seed)


def heldout(name: PoolName, count: int, seed: int) -> list[Puzzle]:
    """Draw held-out prompts from the same mixture as the pool.

    Args:
        name: Of the mixture.
        count: How many.
        seed: Of the draw.

    Returns:
        Distinct puzzles that no training sees.
    """
    return draw("heldout", MIXTURES[name], count, seed)


def draw(split: Split, weights: Mapping[tuple[str, int], float], count: int, seed: int) -> list[Puzzle]:
    """Draw distinct puzzles so that tasks and lengths come in given proportions.

    Args:
        split: Which split to draw from.
        weights: Relative share of each (task, answer length).
        count: How many puzzles.
        seed: Seed of the draw.

    Returns:
        Puzzles in shuffled order; a class with too few puzzles gives what it has and the others fill up.
    """
    rng = random.Random(seed)
    shelves: dict[tuple[str, int], list[Puzzle]] = {key: [] for key in weights}
    for puzzle in corpus(split, dict.fromkeys(task for task, _ in weights)):
        if (puzzle.task, puzzle.length) in shelves:
            shelves[puzzle.task, puzzle.length].append(puzzle)
    for shelf in shelves.values():
        rng.shuffle(shelf)
    keys, drawn = list(weights), list[Puzzle]()
    while len(drawn) < count:
        keys = [key for key in keys if shelves[key]]
        if not keys:
            raise ValueError(f"only {len(drawn)} of {count} puzzles exist in these classes; ask for fewer")
        drawn.append(shelves[rng.choices(keys, [weights[key] for key in keys])[0]].pop())
    return drawn


def solved(puzzle: Puzzle, completion: str) -> bool:
    """Whether the task's own scorer gives a completion full marks.

    Args:
        puzzle: The puzzle that was asked.
        completion: What the model answered.

    Returns:
        True for a full score; partial credit counts as a failure.
    """
    text = completion.strip()
    # spell_backward's scorer adds up ninths and the like, so an answer that runs on can round to full marks.
    if len(text) != puzzle.length:
        return False
    if puzzle.task == _SPELL:
        return float(_dataset(_SPELL).score_answer(text, puzzle.entry)) >= 1.0
    answer, letters = puzzle.entry["answer"], iter(text.upper())
    spaced = "".join(" " if c == " " else next(letters) for c in answer)  # the prompt of a text had no spaces either
    return float(_dataset(_CIPHER).score_answer(spaced, puzzle.entry)) >= 1.0


def by_prompt(puzzles: Iterable[Puzzle]) -> dict[str, Puzzle]:
    """Index puzzles by their prompt."""
    return {puzzle.prompt: puzzle for puzzle in puzzles}
