"""How often each prompt was solved, and when: read from a trace, or from what other tools leave behind."""

from __future__ import annotations

import array
import csv
import gzip
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import IntArray
from cero_api.blocks import blocks
from cero_api.errors import TraceError
from cero_api.extras import load_extra
from cero_api.prompts import Key, content_key
from cero_api.trace import TraceReader

HistoryFormat = Literal["auto", "trace", "verl", "rates", "table"]
Progress = Callable[[float], None]

TRACE_NAMES = ("trace.jsonl", "trace.jsonl.gz")
_PROMPT_COLUMNS = ("prompt", "prompt_id", "key", "id", "index", "uid", "question", "problem")
_RATE_COLUMNS = ("pass_rate", "success_rate", "solve_rate", "pass@1", "accuracy", "acc")
_ROUND_COLUMNS = ("round", "step", "epoch")
_COUNT_COLUMNS = ("count", "n", "rollouts", "num_samples")
_SUCCESS_COLUMNS = ("successes", "num_correct", "correct")


@dataclass(frozen=True, eq=False)
class SuccessHistory:
    """Visits of every prompt in time order, as flat arrays: 12 bytes a visit, and 4 a candidate.

    Args:
        keys: `[M]` prompts; their place is their row.
        offsets: int64 `[M + 1]`, the visits of row i are `offsets[i]:offsets[i + 1]`.
        visit_round: int32 `[V]`, time of each visit: its round, or its number where rounds were not recorded.
        visit_successes: float32 `[V]`, successes, or the rate itself where counts were not recorded.
        visit_count: int32 `[V]`, scored rollouts, all positive; 1 where counts were not recorded.
        round_numbers: int64 `[K]`, rounds in which prompts were offered, ascending; empty if not recorded.
        candidates: int32 `[L]`, rows that were offered, round after round.
        candidate_offsets: int64 `[K + 1]`, those of round k are `candidates[offsets[k]:offsets[k + 1]]`.
        rollouts: int64 `[K]`, rollouts of each round; empty if not recorded.
        notes: what a reader of results should know about the file.

    >>> history = SuccessHistory.from_rates({"a": [0.0, 0.5], "b": [1.0]})
    >>> history.num_prompts, history.visits, history.rates().tolist()
    (2, 3, [0.0, 0.5, 1.0])
    """

    keys: Sequence[Key]
    offsets: IntArray
    visit_round: NDArray[np.int32]
    visit_successes: NDArray[np.float32]
    visit_count: NDArray[np.int32]
    round_numbers: IntArray
    candidates: NDArray[np.int32]
    candidate_offsets: IntArray
    rollouts: IntArray
    notes: tuple[str, ...] = ()

    @property
    def num_prompts(self) -> int:
        """Prompts that were ever offered, M."""
        return len(self.keys)

    @property
    def visits(self) -> int:
        """Visits with at least one scored rollout, V."""
        return int(self.visit_round.size)

    @property
    def rounds(self) -> int:
        """Rounds recorded, K; 0 if the file knows visits only."""
        return int(self.round_numbers.size)

    @property
    def rated(self) -> NDArray[np.bool_]:
        """Whether a prompt has a recorded rate, bool `[M]`."""
        return np.diff(self.offsets) > 0

    def rates(self, smooth: int = 0) -> NDArray[np.float32]:
        r"""Success rate at each visit, pooled with the visits of the same prompt around it.

        $\hat p_v = \sum_{|u - v| \le w} s_u / \sum_{|u - v| \le w} n_u$ over visits $u$ of the same prompt.

        Args:
            smooth: $w$, visits to either side; 0 is the visit's own rate.

        Returns:
            float32 `[V]`, in [0, 1].

        >>> SuccessHistory.from_rates({"a": [0.0, 0.5, 1.0]}).rates(smooth=1).tolist()
        [0.25, 0.5, 0.75]
        """
        result = np.empty(self.visits, dtype=np.float32)
        for block in blocks(self.visits):
            low, high = max(block.start - smooth, 0), min(block.stop + smooth, self.visits)
            visit = np.arange(block.start, block.stop)
            prompt = np.searchsorted(self.offsets, visit, side="right") - 1
            first = np.maximum(visit - smooth, self.offsets[prompt]) - low
            after = np.minimum(visit + smooth + 1, self.offsets[prompt + 1]) - low
            won = np.concatenate([[0.0], np.cumsum(self.visit_successes[low:high], dtype=np.float64)])
            seen = np.concatenate([[0], np.cumsum(self.visit_count[low:high], dtype=np.int64)])
            result[block] = np.clip((won[after] - won[first]) / (seen[after] - seen[first]), 0.0, 1.0)
        return result

    def offered(self, k: int) -> IntArray:
        """Rows that were offered in the k-th recorded round, int64 `[P]`."""
        return self.candidates[self.candidate_offsets[k] : self.candidate_offsets[k + 1]].astype(np.int64)

    @classmethod
    def from_rates(cls, rates: Mapping[Key, Any]) -> SuccessHistory:
        """From one list per prompt: its rate, or its (successes, rollouts), at each visit.

        Raises:
            TraceError: a rate is not in [0, 1], or a pair is no pair of counts.
        """
        builder = _Builder(timed=False)
        for row, (key, visits) in enumerate(rates.items()):
            if not isinstance(visits, list | tuple):
                raise TraceError(f"prompt {key!r}: {visits!r} is not a list of rates; give one rate per visit")
            for number, visit in enumerate(visits):
                won, count = _visit(visit, f"prompt {key!r}, visit {number}")
                builder.add([number], [row], [count], [won])
        return builder.history(list(rates), source="this object", counts_known=False)

    @classmethod
    def from_trace(cls, path: str | os.PathLike[str], progress: Progress | None = None) -> SuccessHistory:
        """From a trace, see `cero_api.trace`.

        Args:
            path: of the file.
            progress: called with the share of the file that is read.

        Raises:
            TraceError: the file is no trace, or has a bad line.
        """
        reader, builder = TraceReader(path), _Builder()
        for columns in reader.columns():
            scored = np.rint(columns.successes + columns.failures).astype(np.int64)
            builder.add(columns.round, columns.row, scored, columns.successes, columns.count)
            if progress is not None:
                progress(reader.fraction)
        notes = () if reader.torn is None else (reader.torn,)
        return builder.history(reader.keys, source=path, notes=notes, where=lambda record: f"{path}, line {record + 2}")


def read_history(
    path: str | os.PathLike[str],
    *,
    format: HistoryFormat = "auto",
    success_threshold: float = 1.0,
    prompt_column: str | None = None,
    rate_column: str | None = None,
    progress: Progress | None = None,
) -> SuccessHistory:
    r"""Read any of the shapes in which people have success histories.

    | format | file | time of a visit |
    | --- | --- | --- |
    | `trace` | a trace, or the folder of a run with one | its round |
    | `verl` | the folder of `trainer.rollout_data_dir`, or one of its files | its step |
    | `rates` | JSON: `{"prompt": [rate, ...]}`, or `[successes, rollouts]` for a rate | its number |
    | `table` | CSV, TSV or Parquet with a pass-rate column | its `round`, `step` or `epoch`, else its number |

    Args:
        path: of the file or folder; text may be compressed with gzip.
        format: "auto" tells by the file's name and first line.
        success_threshold: verl's score from which a rollout is a success.
        prompt_column: of a table; None finds `prompt`, `prompt_id`, `key`, `id`, `index`, `uid`, `question`, `problem`.
        rate_column: of a table; None finds `pass_rate`, `success_rate`, `solve_rate`, `pass@1`, `accuracy`, `acc`,
            or `successes` with `count`.
        progress: called with the share that is read, from 0 to 1.

    Raises:
        TraceError: the file cannot be read; with the line and the reason.
        MissingDependencyError: Parquet without the extra `parquet`.
    """
    path = Path(path)
    kind = _kind_of(path) if format == "auto" else format
    if kind == "trace":
        return SuccessHistory.from_trace(trace_in(path), progress)
    if kind == "verl":
        return _from_verl(path, success_threshold, progress)
    if kind == "rates":
        return _from_json(path)
    return _from_table(path, prompt_column, rate_column)


class _Builder:
    """Records in time order, 16 bytes each, dealt out to their prompts in the end."""

    def __init__(self, timed: bool = True) -> None:
        self._timed = timed
        self._round, self._row, self._scored = (array.array("i") for _ in range(3))
        self._won = array.array("f")
        self._numbers, self._sizes, self._rollouts = (array.array("q") for _ in range(3))  # of the rounds

    def add(
        self,
        round: ArrayLike,
        row: ArrayLike,
        scored: ArrayLike,
        successes: ArrayLike,
        given: ArrayLike | None = None,
    ) -> None:
        rounds = np.asarray(round, dtype=np.int32)
        for column, values in ((self._round, rounds), (self._row, row), (self._scored, scored)):
            column.frombytes(np.asarray(values, dtype=np.int32).tobytes())
        self._won.frombytes(np.asarray(successes, dtype=np.float32).tobytes())
        if self._timed:
            given = np.asarray(scored if given is None else given, dtype=np.int64)
            starts = np.flatnonzero(np.diff(rounds, prepend=-1))
            for number, size, rollouts in zip(
                rounds[starts].tolist(),
                np.diff(starts, append=rounds.size).tolist(),
                np.add.reduceat(given, starts).tolist(),
                strict=True,
            ):
                if self._numbers and self._numbers[-1] == number:
                    self._sizes[-1] += size
                    self._rollouts[-1] += rollouts
                else:
                    self._numbers.append(number)
                    self._sizes.append(size)
                    self._rollouts.append(rollouts)

    def history(
        self,
        keys: Sequence[Key],
        *,
        source: object,
        counts_known: bool = True,
        notes: tuple[str, ...] = (),
        where: Callable[[int], str] = lambda record: f"record {record + 1}",
    ) -> SuccessHistory:
        if not self._row:
            raise TraceError(f"{source} holds not one visit; give a record in which prompts were rolled out")
        round, row, scored = (
            np.frombuffer(column, dtype=np.int32) for column in (self._round, self._row, self._scored)
        )
        won = np.frombuffer(self._won, dtype=np.float32)
        offsets = np.zeros(len(keys) + 1, dtype=np.int64)
        latest = np.full(len(keys), -1, dtype=np.int32)  # round in which each prompt was last met
        for block in blocks(row.size):
            offsets[1:] += np.bincount(row[block], weights=scored[block] > 0, minlength=len(keys)).astype(np.int64)
        np.cumsum(offsets, out=offsets)

        visits = int(offsets[-1])
        columns = np.empty(visits, np.int32), np.empty(visits, np.float32), np.empty(visits, np.int32)
        place = offsets[:-1].copy()
        for block in blocks(row.size):
            order = np.argsort(row[block], kind="stable") + block.start
            mine = row[order]
            before = np.concatenate([latest[mine[:1]], round[order[:-1]]])
            first = np.concatenate([[True], mine[1:] != mine[:-1]])
            before[first] = latest[mine[first]]
            if (before == round[order]).any():
                record = int(order[before == round[order]].min())
                raise TraceError(
                    f"{where(record)}: prompt {keys[row[record]]!r} is in round {round[record]} already; sum its "
                    "rollouts"
                )
            latest[mine] = round[order]  # the last of equal rows stays
            if not scored[block].all():
                order = order[scored[order] > 0]
                mine = row[order]
            starts = np.flatnonzero(np.diff(mine, prepend=-1))
            met = np.diff(starts, append=mine.size)
            target = np.repeat(place[mine[starts]], met) + np.arange(mine.size) - np.repeat(starts, met)
            for column, values in zip(columns, (round, won, scored), strict=True):
                column[target] = values[order]
            place[mine[starts]] += met

        return SuccessHistory(
            keys=keys,
            offsets=offsets,
            visit_round=columns[0],
            visit_successes=columns[1],
            visit_count=columns[2],
            round_numbers=np.array(self._numbers, dtype=np.int64),
            candidates=row if self._timed else row[:0].copy(),
            candidate_offsets=np.concatenate([[0], np.cumsum(np.array(self._sizes, dtype=np.int64))]),
            rollouts=np.array(self._rollouts if counts_known else [], dtype=np.int64),
            notes=notes,
        )


def _kind_of(path: Path) -> HistoryFormat:
    name = path.name.removesuffix(".gz")
    if path.is_dir():
        return "trace" if any((path / name).is_file() for name in TRACE_NAMES) else "verl"
    if name.endswith((".csv", ".tsv", ".parquet")):
        return "table"
    if name.endswith(".jsonl"):
        with _opened(path) as file:
            first = file.readline(1 << 16)
        return "verl" if '"score"' in first and '"format"' not in first else "trace"
    if name.endswith(".json"):
        return "rates"
    raise TraceError(
        f"{path} is neither a folder nor one of .jsonl, .json, .csv, .tsv, .parquet (or .gz); say which format it has"
    )


def trace_in(path: Path) -> Path:
    """The trace itself, or that of a run's folder.

    Raises:
        TraceError: the folder has none.
    """
    if not path.is_dir():
        return path
    for name in TRACE_NAMES:
        if (path / name).is_file():
            return path / name
    raise TraceError(f"{path} has no {' or '.join(TRACE_NAMES)}; give the trace itself")


def _opened(path: Path) -> TextIO:
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rt", encoding="utf-8")
        return open(path, encoding="utf-8", newline="")
    except OSError as error:
        raise TraceError(f"{path} cannot be read ({error}); check the path") from error


def _from_verl(path: Path, threshold: float, progress: Progress | None) -> SuccessHistory:
    """Dumps of verl: one file per step, one line per rollout with `input`, `score`, `step` and more.

    A prompt is known by its input (and expected answer, `gts`, where dumped): verl writes no stable id.
    """
    files = sorted(path.glob("*.jsonl"), key=_step_of) if path.is_dir() else [path]
    if not files:
        raise TraceError(f"{path} has no .jsonl files; give the folder of verl's trainer.rollout_data_dir")
    rows: dict[str, int] = {}
    builder, notes = _Builder(), list[str]()
    latest = -1
    for number, file in enumerate(files):
        steps: dict[int, dict[int, list[int]]] = {}
        for line, record in _json_lines(file, notes):
            try:
                step, text, score = int(record.get("step", number)), record["input"], float(record["score"])
            except (KeyError, TypeError, ValueError) as error:
                raise TraceError(
                    f"{file}, line {line}: no {error if isinstance(error, KeyError) else 'number for score or step'}; "
                    "verl dumps input, output, score and step for every rollout"
                ) from None
            if not np.isfinite(score):
                raise TraceError(f"{file}, line {line}: score {score}; remove rollouts without a score")
            key = content_key(str(text), json.dumps(record.get("gts")))
            tally = steps.setdefault(step, {}).setdefault(rows.setdefault(key, len(rows)), [0, 0])
            tally[0] += score >= threshold
            tally[1] += 1
        for step in sorted(steps):
            if step <= latest:
                raise TraceError(f"{file}: step {step} comes after step {latest}; keep one run's files in the folder")
            latest = step
            won, count = zip(*steps[step].values(), strict=True)
            builder.add([step] * len(won), list(steps[step]), count, won)
        if progress is not None:
            progress((number + 1) / len(files))
    return builder.history(list(rows), source=path, notes=tuple(notes))


def _step_of(path: Path) -> tuple[int, str]:
    return (int(path.stem) if path.stem.isdecimal() else 2**62, path.stem)


def _json_lines(path: Path, notes: list[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as file:
        for number, text in enumerate(file, start=1):
            try:
                record = json.loads(text)
            except ValueError as error:
                if not text.endswith("\n"):
                    notes.append(f"{path.name}, line {number} is torn and was passed over")
                    return
                raise TraceError(f"{path}, line {number}: not JSON ({error}); correct or remove the line") from None
            if not isinstance(record, dict):
                raise TraceError(f"{path}, line {number}: no JSON object; correct or remove the line")
            yield number, record


def _from_json(path: Path) -> SuccessHistory:
    with _opened(path) as file:
        try:
            rates = json.load(file)
        except ValueError as error:
            raise TraceError(f"{path}: not JSON ({error}); correct the file") from None
    if not isinstance(rates, dict) or not rates:
        raise TraceError(f'{path}: no JSON object of histories; write {{"prompt": [rate per visit, ...], ...}}')
    try:
        return SuccessHistory.from_rates(rates)
    except TraceError as error:
        raise TraceError(f"{path}, {error}") from None


def _visit(visit: Any, where: str) -> tuple[float, int]:
    """Successes and rollouts of a visit given as a rate or as a pair."""
    if isinstance(visit, list | tuple) and len(visit) == 2 and all(_is_number(value) for value in visit):
        won, count = visit
        if count == int(count) and 0 <= won <= count and count > 0:
            return float(won), int(count)
        raise TraceError(f"{where}: {won} successes in {count} rollouts; give (successes, rollouts)")
    if not _is_number(visit) or not 0 <= visit <= 1:
        raise TraceError(f"{where}: {visit!r} is not a rate in [0, 1]; leave unvisited epochs out")
    return float(visit), 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _from_table(path: Path, prompt_column: str | None, rate_column: str | None) -> SuccessHistory:
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
            successes = _float(fields[won], names[won], where)
        else:
            assert rate is not None
            share = _float(fields[rate], names[rate], where)
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
    builder = _Builder(timed=time is not None)
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
        with _opened(path) as file:
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
    with _opened(path) as file:
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
