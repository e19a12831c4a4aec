"""Stable prompt keys to row ids: what a prompt is called outside, and where its state lives inside."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cero_api._types import IntArray
from cero_api.arrays import keys_of, whole_numbers
from cero_api.errors import PromptError

Key = str | int


class PromptIndex:
    """Which row of the pool each prompt is, by a key that survives shuffles, epochs and restarts.

    Use the dataset's own index where there is one, else `content_key` of what makes the prompt what it is.

    Args:
        keys: one per prompt, in row order, all strings or all integers, no repeats.

    Raises:
        PromptError: a key repeats, is neither str nor int, or the two are mixed.

    >>> index = PromptIndex(["gsm8k/17", "gsm8k/4"])
    >>> index.row_ids(["gsm8k/4", "gsm8k/17"]), index.keys([0])
    (array([1, 0]), ['gsm8k/17'])
    """

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: list[Key] = keys_of(keys, "prompt keys", PromptError)
        self._rows = {key: row for row, key in enumerate(self._keys)}
        if len(self._rows) != len(self._keys):
            key, times = Counter(self._keys).most_common(1)[0]
            raise PromptError(
                f"prompt key {key!r} names {times} rows; drop the duplicates, or put what tells the prompts "
                "apart into the key"
            )

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def row_ids(self, keys: Sequence[Key] | NDArray[Any]) -> IntArray:
        """Rows of these prompts, int64 `[P]`.

        Args:
            keys: `[P]`, in a list, an array or a tensor.

        Raises:
            PromptError: a key is not in the pool, or is none.
        """
        listed = keys_of(keys, "prompt keys", PromptError)
        try:
            return np.array([self._rows[key] for key in listed], dtype=np.int64)
        except KeyError as error:
            raise PromptError(
                f"prompt key {error.args[0]!r} is not one of the {len(self)} in the pool; "
                "build the index from the dataset that is trained on"
            ) from None

    def keys(self, row_ids: Iterable[int] | NDArray[Any]) -> list[Key]:
        """Keys of these rows.

        Raises:
            PromptError: a row is out of range.
        """
        given: Any = row_ids
        if isinstance(given, Iterable) and not hasattr(given, "__array__"):
            given = list(given)  # a generator or a set, which are no arrays
        rows = whole_numbers(given, "row_ids", PromptError)
        if rows.size and (rows.min() < 0 or rows.max() >= len(self)):
            raise PromptError(f"row ids must be in [0, {len(self)}), not {rows.min()} to {rows.max()}")
        return [self._keys[row] for row in rows]

    @property
    def fingerprint(self) -> str:
        """Equal for equal keys in equal order: tells whether a saved state is of this pool.

        >>> PromptIndex([1, 2]).fingerprint == PromptIndex([2, 1]).fingerprint
        False
        """
        return _digest(map(repr, self._keys))


def content_key(*parts: str) -> str:
    """Key of a prompt by what it says, for datasets without an index: 128 bits of SHA-256 over all parts.

    Args:
        parts: any text, half a character of UTF-16 (an unpaired surrogate) included, as truncation leaves it.

    Raises:
        PromptError: a part is no text.

    >>> content_key("What is 2 + 3?", "5")[:8]
    '2f997a7e'
    """
    for part in parts:
        if not isinstance(part, str):
            raise PromptError(f"content_key takes text, not {type(part).__name__}; pass str() or json.dumps() of it")
    return _digest(parts)


def _digest(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        text = part.encode("utf-8", "surrogatepass")  # which changes nothing in valid text
        digest.update(len(text).to_bytes(8, "little") + text)  # so that ("ab", "c") is not ("a", "bc")
    return digest.hexdigest()[:32]
