"""What a trace says: its header and lines as models, a round as lines, and which numbers cannot be."""

from __future__ import annotations

import json
import operator
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StrictInt, StrictStr, ValidationError

from cero_api._types import FloatArray, IntArray
from cero_api.arrays import keys_of, real_numbers, whole_numbers
from cero_api.errors import TraceError
from cero_api.mathematics.contrast import squares_fit, whole_squares
from cero_api.mathematics.rounding import ROUNDING, not_negative
from cero_api.prompts import Key

LONGEST = 1 << 24  # bytes of a line: more is no line, but something that was inflated to fill the memory
_ROUNDS = 2**31


class TraceHeader(BaseModel):
    """First line of a trace.

    Args:
        num_prompts: prompts in the pool, those that were never visited included; None if unknown.
        metadata: whatever tells one run from another; a run that resumes must have equal metadata.
    """

    model_config = ConfigDict(frozen=True)

    format: Literal["cero-trace"]
    version: Literal[1]
    num_prompts: Annotated[StrictInt, Field(gt=0)] | None = None
    metadata: dict[str, JsonValue] = Field(default_factory=dict)


class TraceLine(BaseModel):
    """Every other line of a trace: what one prompt got and earned in one round."""

    model_config = ConfigDict(frozen=True)

    round: Annotated[StrictInt, Field(ge=0, lt=_ROUNDS)]
    prompt: StrictInt | StrictStr
    count: Annotated[StrictInt, Field(ge=0, lt=2**31)]
    successes: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
    failures: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    squares: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None
    tokens: Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)] | None = None


def trace_lines(
    round: int,
    prompts: Sequence[Key],
    counts: ArrayLike,
    successes: ArrayLike,
    failures: ArrayLike | None = None,
    squares: ArrayLike | None = None,
    tokens: ArrayLike | None = None,
) -> bytes:
    r"""One round as the lines of a trace.

    Args:
        round: 0-based number.
        prompts: `[P]` keys, no repeats.
        counts: int `[P]`, at least 0.
        successes: float `[P]`, from 0 to the counts.
        failures: float `[P]`; None is `counts - successes`, no reward being missing.
        squares: float `[P]`, sums of squared shares of a success; None where rewards are whole successes or failures.
        tokens: float `[P]`, generated in the rollouts that have a reward; NaN, or None for all, where not counted.

    Returns:
        `[P]` lines of UTF-8, each with its line break.

    Raises:
        TraceError: what no reader would take: lengths differ, a prompt repeats or is no key, a number is out of range.

    >>> print(trace_lines(4, [17, 3], [8, 2], [3, 0.5], tokens=[960, 41]).decode(), end="")
    {"round":4,"prompt":17,"count":8,"successes":3,"tokens":960}
    {"round":4,"prompt":3,"count":2,"successes":0.5,"tokens":41}
    """
    round = round_number(round)
    count, won = whole_numbers(counts, "counts", TraceError), real_numbers(successes, "successes", TraceError)
    lost = None if failures is None else real_numbers(failures, "failures", TraceError)
    keys: list[Key] = keys_of(prompts, "prompts", TraceError)
    if not len(keys) == count.size == won.size or (lost is not None and lost.size != won.size):
        raise TraceError(
            f"{len(keys)} prompts, {count.size} counts, {won.size} successes and "
            f"{won.size if lost is None else lost.size} failures; give one of each per prompt"
        )
    won = not_negative(won)
    lost = not_negative(count - won if lost is None else lost)
    with np.errstate(invalid="ignore"):  # infinities, which are refused below
        whole = whole_squares(won, lost)
    squared = whole if squares is None else real_numbers(squares, "squares", TraceError)
    if squared.size != won.size:
        raise TraceError(f"{squared.size} squares for {won.size} prompts; give one per prompt")
    generated = np.full(won.size, np.nan) if tokens is None else real_numbers(tokens, "tokens", TraceError)
    if generated.size != won.size or (generated < 0).any() or np.isinf(generated).any():
        raise TraceError(
            f"round {round}: tokens must be {won.size} numbers of 0 or more; count them, or leave them out"
        )
    if len(set(keys)) != len(keys):
        raise TraceError(f"round {round} names a prompt twice; sum its rollouts first")
    fault = first_fault(count, won, lost, squared)
    if fault is not None:
        row, said = fault
        raise TraceError(f"round {round}, prompt {keys[row]!r}: {said}; correct what is passed to the trace")
    missing, graded = np.abs(count - won - lost) > ROUNDING, whole - squared > ROUNDING**2 * count
    named = map(json.dumps, keys)
    lines = [
        f'{{"round":{round},"prompt":{key},"count":{n},"successes":{_number(s)}'
        + (f',"failures":{_number(f)}' if partial else "")
        + (f',"squares":{_number(q)}' if differing else "")
        + (f',"tokens":{_number(t)}}}\n' if t == t else "}\n")  # NaN is not equal to itself
        for key, n, s, f, q, t, partial, differing in zip(
            *(named, count.tolist(), won.tolist(), lost.tolist(), squared.tolist(), generated.tolist()),
            *(missing.tolist(), graded.tolist()),
            strict=True,
        )
    ]
    longest = max(map(len, lines), default=0)
    if longest > LONGEST:
        raise TraceError(
            f"round {round}: a key makes a line of {longest:,} bytes, more than {LONGEST:,}; name prompts by their "
            "index, or by content_key"
        )
    return "".join(lines).encode()


def round_number(round: object) -> int:
    """A round as a trace may name it, from any integer.

    Raises:
        TraceError: it is none, or out of range.
    """
    try:
        number = operator.index(round)  # type: ignore[arg-type]  # what it refuses is what is asked
    except TypeError:
        raise TraceError(f"round {round!r} is not a whole number; number the rounds from 0") from None
    if not 0 <= number < _ROUNDS:
        raise TraceError(f"round {number} is not in [0, {_ROUNDS}); number the rounds from 0")
    return number


def first_fault(
    count: IntArray, won: FloatArray, lost: FloatArray, squares: FloatArray | None = None
) -> tuple[int, str] | None:
    """First record whose numbers cannot be, and why; squares that are not given are those of whole successes."""
    with np.errstate(invalid="ignore", over="ignore"):
        good = (count >= 0) & (count < 2**31) & (won >= 0) & (lost >= -ROUNDING) & (won + lost <= count + ROUNDING)
        fit = good if squares is None else good & squares_fit(won, np.maximum(lost, 0.0), squares)
    if fit.all():  # NaN is not good
        return None
    at = int(np.argmin(fit))
    if not 0 <= count[at] < 2**31:
        return at, f"count {count[at]} is not a number of rollouts"
    also = f" cannot have squares of {squares[at]:g}" if good[at] and squares is not None else ""
    return at, f"{won[at]:g} successes and {lost[at]:g} failures in {count[at]} rollouts{also}"


def parse_header(path: Path, line: bytes) -> TraceHeader:
    """The header, or a `TraceError` that shows what stands in its place."""
    try:
        return TraceHeader.model_validate_json(line)
    except ValidationError as error:
        found = json.dumps(line[:40].decode(errors="replace"))
        raise TraceError(
            f"{path}, line 1: no header of a trace but {found} ({said(error)}); a trace begins with "
            f"{header_text(TraceHeader(format='cero-trace', version=1)).decode().strip()}"
        ) from None


def header_line(num_prompts: int | None, metadata: dict[str, Any]) -> bytes:
    """A header as JSON, not validated yet."""
    header = {"format": "cero-trace", "version": 1, "num_prompts": num_prompts, "metadata": metadata}
    return json.dumps(header).encode()


def header_text(header: TraceHeader) -> bytes:
    """The header as a trace begins with it: what is not set is left out."""
    fields = {name: value for name, value in header.model_dump().items() if value not in (None, {})}
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


def is_line(line: bytes) -> bool:
    """Whether this is a whole line of a trace."""
    try:
        TraceLine.model_validate_json(line)
    except ValidationError:
        return False
    return True


def said(error: ValidationError) -> str:
    """The first thing that pydantic found, with the field it is about."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"][:1])
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if where else said


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
