"""Histories from CSV, TSV or Parquet."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cero_api.analysis.history.builder import Builder
from cero_api.analysis.history.files import opened
from cero_api.analysis.history.visits import SuccessHistory
from cero_api.errors import TraceError
from cero_api.extras import load_extra
from cero_api.mathematics.rounding import within
from cero_api.prompts import Key

_PROMPT_COLUMNS = ("prompt", "prompt_id", "key", "id", "index", "uid", "question", "problem")
_RATE_COLUMNS = ("pass_rate", "success_rate", "solve_rate", "pass@1", "accuracy", "acc")
_ROUND_COLUMNS = ("round", "step", "epoch")
_COUNT_COLUMNS = ("count", "n", "rollouts", "num_samples")
_SUCCESS_COLUMNS = ("successes", "num_correct", "correct")


def from_table(path: Path, prompt_column: str | None, rate_column: str | None) -> SuccessHistory:
    """One row per visit of a prompt; a table with one row per prompt is a history of one visit each."""
    names, records = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    prompt = _column(path, names, prompt_column, _PROMPT_COLUMNS, "prompt")
    won = rate = None
    if rate_column is None and not set(names) & set(_RATE_COLUMNS):
        won = next((names.index(name) for name in _SUCCESS_COLUMNS if name in names), None)
    if won is None:
        rate = _column(path, names, rate_column, _RATE_COLUMNS, "pass-rate")
    count = next((names.index(name) for name in _COUNT_COLUMNS if name in names), None)
    if won is not None and count is None:
        raise TraceError(f"{path} has {names[won]} but no count column ({', '.join(_COUNT_COLUMNS)}); add one")
    time = next((names.index(name) for name in _ROUND_COLUMNS if name in names), None)

    rows: dict[Key, int] = {}
    seen: list[int] = []
    visits: list[tuple[int, int, int, float, int]] = []  # round, row, count, successes, line
    for line, fields in records:
        where = f"{path}, line {line}"
        key = fields[prompt]
        if not isinstance(key, str | int) or key == "":
            raise TraceError(f"{where}: prompt {key!r}; every row needs a prompt")
        row = rows.setdefault(key, len(rows))
        seen += [0] * (len(rows) - len(seen))
        n = 1 if count is None else _whole(fields[count], names[count], where)
        if won is not None:
            successes = within(_float(fields[won], names[won], where), 0.0, float(n))
        else:
            assert rate is not None
            share = within(_float(fields[rate], names[rate], where), 0.0, 1.0)
            if not 0 <= share <= 1:
                raise TraceError(f"{where}: {names[rate]} {share:g} is not in [0, 1]; give rates, not percentages")
            successes = share * n
        if n and not 0 <= successes <= n:
            raise TraceError(f"{where}: {successes:g} successes in {n} rollouts; correct the row")
        visits.append(
            (seen[row] if time is None else _whole(fields[time], names[time], where), row, n, successes, line)
        )
        seen[row] += 1
    visits.sort(key=lambda visit: visit[0])
    builder = Builder(timed=time is not None)
    if visits:
        round, row_ids, counts, successes_of, _ = zip(*visits, strict=True)
        builder.add(round, row_ids, counts, successes_of)
    return builder.history(
        list(rows),
        source=path,
        counts_known=count is not None,
        where=lambda record: f"{path}, line {visits[record][4]}",
    )


def _column(path: Path, names: list[str], given: str | None, known: Iterable[str], what: str) -> int:
    wanted = [given] if given is not None else list(known)
    for name in wanted:
        if name in names:
            return names.index(name)
    raise TraceError(
        f"{path} has no {what} column {' or '.join(wanted)}, but {', '.join(names)}; name the one that holds it"
    )


def _csv(path: Path) -> tuple[list[str], Iterator[tuple[int, Sequence[Any]]]]:
    def records() -> Iterator[tuple[int, Sequence[Any]]]:
        with opened(path) as file:
            reader = csv.reader(file, delimiter=delimiter)
            next(reader)
            for fields in reader:
                if len(fields) != len(names):
                    raise TraceError(
                        f"{path}, line {reader.line_num}: {len(fields)} fields for {len(names)} columns; quote fields "
                        "that hold the delimiter"
                    )
                yield reader.line_num, fields

    delimiter = "\t" if ".tsv" in path.name else ","
    with opened(path) as file:
        names = next(csv.reader(file, delimiter=delimiter), [])
    return names, records()


def _parquet(path: Path) -> tuple[list[str], Iterator[tuple[int, Sequence[Any]]]]:
    parquet = load_extra("pyarrow.parquet", "parquet")
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
        raise TraceError(f"{path} cannot be read as Parquet ({error}); check the file") from None
    names = list(file.schema_arrow.names)

    def records() -> Iterator[tuple[int, Sequence[Any]]]:
        number = 0
        for batch in file.iter_batches():
            for fields in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield number, fields

    return names, records()


def _float(value: Any, name: str, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if not np.isfinite(number):
        raise TraceError(f"{where}: {name} {value!r} is not a number; correct or remove the row")
    return number


def _whole(value: Any, name: str, where: str) -> int:
    number = _float(value, name, where)
    if number != int(number) or not 0 <= number < 2**31:
        raise TraceError(f"{where}: {name} {value!r} is not a whole number from 0 on; correct or remove the row")
    return int(number)
