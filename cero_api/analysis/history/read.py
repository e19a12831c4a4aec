"""One call for every shape in which people have success histories."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from cero_api.analysis.history.builder import Fields, Progress
from cero_api.analysis.history.columnar import arrow_table, parquet_table
from cero_api.analysis.history.delimited import delimited_table
from cero_api.analysis.history.files import HistoryFormat, Kind, has_trace, kind_of, readable, records_in, trace_in
from cero_api.analysis.history.names import Role
from cero_api.analysis.history.objects import json_table
from cero_api.analysis.history.rates import from_rates
from cero_api.analysis.history.table import Table
from cero_api.analysis.history.tables import from_tables
from cero_api.analysis.history.traces import from_trace
from cero_api.analysis.history.verl import from_verl
from cero_api.analysis.history.visits import SuccessHistory
from cero_api.errors import CeroError, ConfigurationError, TraceError
from cero_api.interrupts import interruptible
from cero_api.rewards import SuccessRule

_TABLES: dict[Kind, Callable[[Path], Table]] = {
    "delimited": delimited_table,
    "parquet": parquet_table,
    "arrow": arrow_table,
}


@interruptible
def read_history(
    path: str | os.PathLike[str],
    *,
    format: HistoryFormat = "auto",
    success_threshold: float = 1.0,
    prompt_column: str | None = None,
    rate_column: str | None = None,
    success_column: str | None = None,
    count_column: str | None = None,
    round_column: str | None = None,
    progress: Progress | None = None,
) -> SuccessHistory:
    r"""Read any of the shapes in which people have success histories.

    | format | file | time of a visit |
    | --- | --- | --- |
    | `trace` | a trace, or the folder of a run with one | its round |
    | `verl` | the folder of `trainer.rollout_data_dir`, or one of its files | its step |
    | `rates` | JSON: `{"prompt": rate}`, or a list of rates, or of `[successes, rollouts]` | its number |
    | `table` | CSV, TSV, JSON lines or list, Parquet, Arrow; a folder of them | its `round`, `step`; or its number |

    A table's columns are found by their usual names (`cero_api.analysis.history.names.SYNONYMS`), or by those given;
    `extra_info.pass_rate` is a field of a nested column. Rates may be written 0.375, 37.5% or 3/8; rows without one are
    visits that are not counted, and a note says how many. Rows that hold the reward of one rollout each, as TRL's
    completions do, are summed by prompt and round.

    Args:
        path: of the file, folder or pipe; text may be compressed with gzip.
        format: "auto" tells by what the file holds.
        success_threshold: reward from which a rollout is a success, where a record has single rollouts.
        prompt_column: of a table: who it is about; a chat is known by its content.
        rate_column: of a table: its pass rate, or what a rollout earned.
        success_column: of a table without a rate: number of successes.
        count_column: of a table: number of rollouts.
        round_column: of a table: when.
        progress: called with the share that is read, from 0 to 1.

    Raises:
        TraceError: the file cannot be read; with the line and the reason.
        ConfigurationError: columns are named for a record that has none, or a threshold that is no number.
        MissingDependencyError: Parquet without the extra `parquet`.
    """
    given: dict[Role, str | None] = {
        "prompt": prompt_column, "rate": rate_column, "success": success_column, "count": count_column,
        "round": round_column,
    }  # fmt: skip
    rule, told = SuccessRule(success_threshold=success_threshold), None if progress is None else _Told(progress)
    try:
        with readable(Path(path)) as record:
            return SuccessHistory(**_fields(record, format, given, rule, told))
    except CeroError:
        raise
    except Exception as error:
        if told is not None and told.failed:
            raise
        # Damaged bytes make gzip, csv, json and Parquet raise almost anything.
        raise TraceError(
            f"{path} cannot be read ({error!r}); restore the file, or name its format if it is another"
        ) from error


class _Told:
    """Somebody's function that is told of progress; what it raises says nothing of the file."""

    def __init__(self, progress: Progress) -> None:
        self._progress, self.failed = progress, False

    def __call__(self, share: float) -> None:
        self.failed = True
        self._progress(share)
        self.failed = False


def _fields(
    path: Path, format: HistoryFormat, given: Mapping[Role, str | None], rule: SuccessRule, progress: Progress | None
) -> Fields:
    named = [role for role, name in given.items() if name is not None]
    if format == "trace" or (format == "auto" and path.is_dir() and has_trace(path)):
        files = [trace_in(path)]
    else:
        files = records_in(path) if path.is_dir() else [path]
    kind = format if format == "trace" or format == "verl" else kind_of(files[0])
    if kind == "verl" and format != "verl" and (named or format == "table"):
        kind = "json"
    if named and (kind == "trace" or format in ("verl", "rates")):
        raise ConfigurationError(f"{files[0]} is no table, so {named[0]}_column means nothing; leave it out")
    if kind == "trace":
        return from_trace(files[0], progress)
    if kind == "verl":
        return from_verl(files, path, rule, progress)
    first = _opened(files[0])
    if isinstance(first, Table) and format != "rates":
        return from_tables(_all(first, files[1:]), path, given, rule, progress, len(files))
    if not isinstance(first, Mapping) or not first or len(files) > 1:
        raise TraceError(
            f'{files[0]}: no JSON object of rates by prompt; write {{"prompt": [rate per visit, ...], ...}}'
        )
    return from_rates(first, str(files[0]))


@interruptible
def tables_of(path: str | os.PathLike[str]) -> list[Table]:
    """The tables of a record, for whoever wants more of their columns; none of a record of another kind, or of a pipe.

    Args:
        path: of the file or folder.

    Raises:
        TraceError: it cannot be read.
    """
    record = Path(path)
    if not (record.is_file() or record.is_dir()) or (record.is_dir() and has_trace(record)):
        return []
    files = records_in(record) if record.is_dir() else [record]
    if kind_of(files[0]) in ("trace", "verl"):
        return []
    first = _opened(files[0])
    return list(_all(first, files[1:])) if isinstance(first, Table) else []


def _opened(path: Path) -> Table | Mapping[Any, Any]:
    return _TABLES.get(kind_of(path), json_table)(path)


def _all(first: Table, paths: list[Path]) -> Iterator[Table]:
    yield first
    for path in paths:
        table = _opened(path)
        if not isinstance(table, Table):
            raise TraceError(f"{path} is no table; give files of one kind")
        yield table
