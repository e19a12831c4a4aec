"""Blocks of lines as columns: those the writer wrote at C speed, any other JSON with the reason if it is bad."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from cero_api._types import FloatArray, IntArray
from cero_api.errors import TraceError
from cero_api.mathematics.contrast import whole_squares
from cero_api.prompts import Key
from cero_api.trace.records import TraceLine, first_fault, said

_EXACT = 2**53  # float64 holds whole numbers up to here
# What the writer writes, so that the reader need not run a JSON parser over it: see _canonical.
_LITERALS = (b'{"round":', b',"prompt":', b',"count":', b',"successes":', b"}\n")
_WITH_TOKENS = (*_LITERALS[:-1], b',"tokens":', _LITERALS[-1])
_NUMERALS = b"0123456789.-"
_NO_NUMERALS = bytes(sorted(set(range(256)) - set(_NUMERALS) - set(b",\n")))
_LINE_TO_LIST = bytes.maketrans(b"\n", b",")


class Rows(dict[Key, int]):
    """Row of every key seen, in order of appearance."""

    def __missing__(self, key: Key) -> int:
        row = self[key] = len(self)
        return row


@dataclass(frozen=True, eq=False)
class Columns:
    """Lines of a trace side by side, all `[L]`: the fast way to read a whole file."""

    round: IntArray
    row: IntArray  # of the prompt, in order of first appearance
    count: IntArray
    successes: FloatArray
    failures: FloatArray
    squares: FloatArray  # of shares of a success; the successes' own where rewards are whole successes or failures
    tokens: FloatArray | None = None  # NaN where a line has none; None where no line has any

    @classmethod
    def of(cls, block: bytes, path: Path, line: int, rows: Rows | None = None) -> Columns:
        """Read complete lines; the first is number `line` of the file."""
        rows = Rows() if rows is None else rows
        parsed = _canonical(block)
        round, prompts, count, won, lost, squares, tokens = _general(block, path, line) if parsed is None else parsed
        known = type(next(iter(rows), prompts[0]))
        if set(map(type, prompts)) != {known} or known not in (int, str):
            at = next(n for n, prompt in enumerate(prompts) if type(prompt) is not known or known not in (int, str))
            raise TraceError(
                f"{path}, line {line + at}: prompt {prompts[at]!r}; all prompts must be strings, or all integers"
            )
        row = np.fromiter(map(rows.__getitem__, prompts), dtype=np.int64, count=len(prompts))
        fault = first_fault(count, won, lost, squares)
        if fault is not None:
            raise TraceError(f"{path}, line {line + fault[0]}: {fault[1]}; correct or remove the line")
        return cls(round, row, count, won, lost, whole_squares(won, lost) if squares is None else squares, tokens)

    def part(self, start: int, stop: int) -> Columns:
        """Lines from `start` up to `stop`."""
        lines = slice(start, stop)
        return Columns(
            *(self.round[lines], self.row[lines], self.count[lines]),
            *(self.successes[lines], self.failures[lines], self.squares[lines]),
            None if self.tokens is None else self.tokens[lines],
        )

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """One after the other."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.round for part in parts]),
            np.concatenate([part.row for part in parts]),
            np.concatenate([part.count for part in parts]),
            np.concatenate([part.successes for part in parts]),
            np.concatenate([part.failures for part in parts]),
            np.concatenate([part.squares for part in parts]),
            None if all(part.tokens is None for part in parts) else np.concatenate([_counted(part) for part in parts]),
        )


def _counted(part: Columns) -> FloatArray:
    """Tokens of a part, NaN where it has none."""
    return np.full(part.round.size, np.nan) if part.tokens is None else part.tokens


# Round, prompt, count, successes, failures, and squares and tokens if any line has them.
_Parsed = tuple[IntArray, list[Key], IntArray, FloatArray, FloatArray, FloatArray | None, FloatArray | None]


def _canonical(block: bytes) -> _Parsed | None:
    """Lines exactly as the writer writes them, with integer prompts, at C speed; None for any others.

    Without numerals the block must be the skeleton of a line, repeated; and the skeleton's literals must be there
    unbroken, so that numerals can stand in the places for them and nowhere else.
    """
    lines, first = block.count(b"\n"), block[: block.find(b"\n")]
    literals = _WITH_TOKENS if _WITH_TOKENS[-2] in first else _LITERALS
    if block.translate(None, _NUMERALS) != b"".join(literals) * lines:
        return None
    if not block.startswith(literals[0]) or block.count(b"}\n" + literals[0]) != lines - 1:
        return None
    if any(block.count(literal) != lines for literal in literals):
        return None
    numerals, fields = block.translate(_LINE_TO_LIST, _NO_NUMERALS), len(literals) - 1
    whole = _numbers(numerals, np.int64, fields * lines)
    if whole is not None:
        table = whole.reshape(lines, fields)
        earned = table[:, 3:].astype(np.float64)
    else:
        numbers = _numbers(numerals, np.float64, fields * lines)
        if numbers is None:
            return None
        table = numbers.reshape(lines, fields).astype(np.int64)
        if (table[:, :3] != numbers.reshape(lines, fields)[:, :3]).any():
            return None
        earned = numbers.reshape(lines, fields)[:, 3:]
    round, prompt, count = (table[:, field].copy() for field in range(3))
    won, *more = (earned[:, field].copy() for field in range(fields - 3))
    tokens = more[0] if more else None
    if round.min() < 0 or round.max() >= 2**31 or (tokens is not None and tokens.min() < 0):
        return None
    return round, prompt.tolist(), count, won, count - won, None, tokens


def _numbers(numerals: bytes, dtype: type[np.generic], size: int) -> NDArray[Any] | None:
    """So many numbers, separated by commas, none too large to be exact; None if they are not that."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # what is no number, in today's numpy
            numbers = np.fromstring(numerals, dtype=dtype, sep=",")
    except (ValueError, DeprecationWarning):
        return None
    exact = numbers.size == size and bool(((numbers > -_EXACT) & (numbers < _EXACT)).all())
    return numbers if exact else None


def _general(block: bytes, path: Path, line: int) -> _Parsed:
    """Any JSON lines with the right fields, or the first bad one by its number."""
    lines = block.count(b"\n")
    try:
        records = json.loads(b"[" + block[:-1].replace(b"\n", b",") + b"]")
        if len(records) != lines:
            raise ValueError
        round = _integers([record["round"] for record in records])
        count = _integers([record["count"] for record in records])
        won = _floats([record["successes"] for record in records])
        prompts = [record["prompt"] for record in records]
        lost = count - won
        partial = [at for at, record in enumerate(records) if record.get("failures") is not None]
        lost[partial] = _floats([records[at]["failures"] for at in partial])
        squares, graded = None, [at for at, record in enumerate(records) if record.get("squares") is not None]
        if graded:
            squares = whole_squares(won, lost)
            squares[graded] = _floats([records[at]["squares"] for at in graded])
        tokens, counted = None, [at for at, record in enumerate(records) if record.get("tokens") is not None]
        if counted:
            tokens = np.full(won.size, np.nan)
            tokens[counted] = _floats([records[at]["tokens"] for at in counted])
            if not (np.isfinite(tokens[counted]) & (tokens[counted] >= 0)).all():
                raise ValueError
        if round.min() < 0 or round.max() >= 2**31:
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        raise _diagnosis(block, path, line) from None
    return round, prompts, count, won, lost, squares, tokens


def _diagnosis(block: bytes, path: Path, line: int) -> TraceError:
    """The first bad line of a block, by its number, and what is wrong with it."""
    for number, text in enumerate(block.splitlines(), start=line):
        try:
            TraceLine.model_validate_json(text)
        except ValidationError as error:
            return TraceError(f"{path}, line {number}: {said(error)}; correct or remove the line")
    return TraceError(f"{path}, lines {line} to {line + block.count(10)}: not one record per line; reformat the file")


def _integers(values: list[Any]) -> IntArray:
    array = np.array(values)
    if array.dtype.kind != "i" or array.ndim != 1:
        raise ValueError
    return array.astype(np.int64, copy=False)


def _floats(values: list[Any]) -> FloatArray:
    array = np.array(values if values else [0.0][:0])
    if array.dtype.kind not in "if" or array.ndim != 1:
        raise ValueError
    return array.astype(np.float64)
