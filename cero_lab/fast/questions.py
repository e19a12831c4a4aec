"""Puzzles as tokens: prompts side by side, prompts with their answers, and the judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from cero_lab.tasks import Puzzle
from cero_lab.vocabulary import EOS_ID, PAD_ID, VOCABULARY, encode

# The scorers of the tasks are deaf to case, and decoding leaves padding and end of sequence out.
_HEARD = bytes(VOCABULARY.get(token.lower(), number) for token, number in VOCABULARY.items()).ljust(256, b"\0")
_SILENT = bytes([PAD_ID, EOS_ID])
# Sequences computed at once: few enough for what they need to stay in a core's own cache.
_AT_ONCE = 32


@dataclass(frozen=True, eq=False)
class Questions:
    """Puzzles in one array, padded on the right.

    Args:
        puzzles: as they came.
        tokens: int64 `[M, L]`, of each the prompt, the answer, the end of sequence, and padding.
        prompt_lengths: int64 `[M]`, tokens of the prompt.
        lengths: int64 `[M]`, tokens of all three.
    """

    puzzles: Sequence[Puzzle]
    tokens: torch.Tensor
    prompt_lengths: torch.Tensor
    lengths: torch.Tensor

    @classmethod
    def of(cls, puzzles: Sequence[Puzzle]) -> Self:
        """Encode puzzles."""
        rows = [[*encode(puzzle.prompt + puzzle.answer), EOS_ID] for puzzle in puzzles]
        width = max(map(len, rows))
        return cls(
            puzzles=puzzles,
            tokens=torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows]),
            prompt_lengths=torch.tensor([len(puzzle.prompt) for puzzle in puzzles]),
            lengths=torch.tensor([len(row) for row in rows]),
        )

    def __len__(self) -> int:
        return len(self.puzzles)

    def by_length(self, rows: torch.Tensor | None = None) -> Sequence[torch.Tensor]:
        """Parts to compute one after the other: of like length, so that little is padding, and small.

        Args:
            rows: int64 `[P]`; None is all of them.

        Returns:
            Places in `rows`, int64, every one once.
        """
        lengths = self.lengths if rows is None else self.lengths[rows]
        return lengths.argsort(stable=True).split(_AT_ONCE)

    def prompts(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The prompts alone.

        Args:
            rows: int64 `[P]`.

        Returns:
            Tokens int64 `[P, longest]`, padded with part of the answer where nobody looks, and lengths `[P]`.
        """
        lengths = self.prompt_lengths[rows]
        return self.tokens[rows, : int(lengths.max())], lengths

    def rewards(self, rows: NDArray[np.int64], tokens: torch.Tensor, lengths: torch.Tensor) -> NDArray[np.float64]:
        """1 for a right answer and 0 for any other, as `tasks.solved` judges the decoded text.

        Args:
            rows: int64 `[N]`, of the puzzles that were asked.
            tokens: int64 `[N, T]`, completions.
            lengths: int64 `[N]`, their tokens, the end of sequence among them.
        """
        said = tokens.numpy().astype(np.uint8)
        heard = (row[:size].tobytes() for row, size in zip(said, lengths.tolist(), strict=True))
        right = [text.translate(_HEARD, _SILENT) == self._answer(row) for text, row in zip(heard, rows, strict=True)]
        return np.array(right, dtype=np.float64)

    def _answer(self, row: int) -> bytes:
        return bytes(encode(self.puzzles[row].answer))
