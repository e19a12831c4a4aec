"""What stands in a cell: a rate, a count, a fraction, several rewards, nothing; and which prompt a row is about."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from cero_api.analysis.history.table import shown
from cero_api.errors import TraceError
from cero_api.mathematics.rounding import ROUNDING, within
from cero_api.prompts import Key, content_key

# What spreadsheets, pandas and JSON write where nothing is known; Excel's zero by zero is no rollout at all.
_MISSING = {
    "", "-", "nan", "null", "none", "n/a", "na", "<na>", "nat", "nil", "missing", "undefined", "#n/a", "#div/0!",
}  # fmt: skip
_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
_FRACTION = re.compile(r"\s*([\d.]+)\s*(?:/|\u2044|of|out of)\s*(\d+)\s*")
_DECIMAL_COMMA = re.compile(r"0,\d+|\d{1,3},\d+%")  # which can be no thousands, whatever else has commas
_COUNTS = 2**31


class Cell(NamedTuple):
    """A number, and of how many rollouts it is the sum; 0 if the cell does not say."""

    amount: float
    of: int = 0


def cells(value: Any, name: str, where: str, decimal_comma: bool = False) -> list[Cell]:
    """The numbers of a cell: one, or several in a list; none if it is empty.

    Args:
        value: of the cell.
        name: of its column.
        where: file and line, for the message of an error.
        decimal_comma: whether 0,5 is a half.

    Raises:
        TraceError: it holds something else.

    >>> cells("3/8", "pass_rate", ""), cells("37.5%", "pass_rate", ""), cells(None, "pass_rate", "")
    ([Cell(amount=3.0, of=8)], [Cell(amount=0.375, of=0)], [])
    """
    kind = type(value)
    if kind is float or kind is int:
        return [] if value != value else [Cell(_finite(value, name, where, value))]
    if value is None:
        return []
    if kind is str:
        return _of_text(value, name, where, decimal_comma)
    if isinstance(value, list | tuple | np.ndarray):
        return [cell for one in value for cell in cells(one, name, where, decimal_comma)]
    if isinstance(value, bool | int | float | Decimal | np.generic):
        return cells(float(value), name, where)
    raise _no_number(value, name, where)


def _of_text(value: str, name: str, where: str, decimal_comma: bool) -> list[Cell]:
    text = value.strip().lower()
    if text in _MISSING:
        return []
    if text in _WORDS:
        return [Cell(_WORDS[text])]
    if text.startswith("["):
        try:
            return cells(json.loads(text), name, where)
        except ValueError:
            raise _no_number(value, name, where) from None
    fraction = _FRACTION.fullmatch(text)
    try:
        if fraction is not None:
            won, of = float(fraction[1]), whole(int(fraction[2]), name, where)
            if within(won, 0.0, of) > of > 0:
                raise TraceError(f"{where}: {name} {value!r} is more than one; correct the row")
            return [Cell(min(won, of), of)] if of else []
        percent = text.endswith("%")
        comma = decimal_comma or _DECIMAL_COMMA.fullmatch(text) is not None
        number = float((text[:-1] if percent else text).replace(",", "." if comma else ","))
    except ValueError as error:
        if isinstance(error, TraceError):
            raise
        raise _no_number(value, name, where) from None
    return [Cell(_finite(number / 100 if percent else number, name, where, value))] if number == number else []


def are_fractions(values: Sequence[object]) -> bool:
    """Whether a column holds fractions such as 3/8, and nothing else."""
    texts = [str(value) for value in values if value is not None and str(value).strip().lower() not in _MISSING]
    return bool(texts) and all(_FRACTION.fullmatch(text.lower()) for text in texts)


def whole(value: Any, name: str, where: str) -> int:
    """A number of rollouts, or of a round; from text and from 8.0, too.

    Raises:
        TraceError: it is none.
    """
    found = cells(value, name, where)
    number = found[0].amount if len(found) == 1 and not found[0].of else -1.0
    if abs(number - round(number)) > ROUNDING or not 0 <= number < _COUNTS:
        raise TraceError(f"{where}: {name} {shown(value)} is not a whole number from 0 on; correct or remove the row")
    return round(number)


def share(cell: Cell, name: str, where: str, percent: bool = False) -> float:
    """A rate in [0, 1], of a cell that does not say of how many rollouts.

    Raises:
        TraceError: it is none.
    """
    most = 100.0 if percent else 1.0
    rate = within(cell.amount, 0.0, most)
    if not 0 <= rate <= most:
        raise TraceError(
            f"{where}: {name} {rate:g} is not in [0, 1]; give rates from 0 to 1, write percentages with their sign "
            "(50%), or name another column"
        )
    return rate


def key_of(value: Any, where: str) -> Key:
    """The prompt that a row is about: its text or number; for a chat, or anything else, the key of its content.

    Raises:
        TraceError: there is none.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        value = int(value)  # pandas makes floats of integers where one is missing
    if isinstance(value, str | int) and value != "" and not isinstance(value, bool):
        return value
    if isinstance(value, list | dict) and value:
        return content_key(json.dumps(_bare(value), sort_keys=True, default=repr))
    if isinstance(value, bytes) and value:
        return value.decode(errors="backslashreplace")
    raise TraceError(f"{where}: prompt {shown(value)}; every row needs a prompt")


def is_chat(value: Any) -> bool:
    """Whether this is a list of messages."""
    return isinstance(value, list) and bool(value) and all(isinstance(m, Mapping) and "content" in m for m in value)


def _bare(value: Any) -> Any:
    """Without the fields that Parquet adds so that all rows have the same."""
    if isinstance(value, Mapping):
        return {name: _bare(inner) for name, inner in value.items() if inner is not None}
    return [_bare(inner) for inner in value] if isinstance(value, list) else value


def _finite(number: float, name: str, where: str, value: Any) -> float:
    try:
        if math.isfinite(number):
            return float(number)
    except OverflowError:  # an integer of 400 digits
        pass
    raise _no_number(value, name, where)


def _no_number(value: Any, name: str, where: str) -> TraceError:
    return TraceError(f"{where}: {name} {shown(value)} is not a number; correct or remove the row")
