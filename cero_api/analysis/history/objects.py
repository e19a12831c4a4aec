"""JSON as people write it: objects by line or in a list, columns side by side, or a rate by prompt."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cero_api.analysis.history.cells import is_chat
from cero_api.analysis.history.names import SYNONYMS, VALUES, plain_name
from cero_api.analysis.history.opened import Text
from cero_api.analysis.history.table import SAMPLE, STRIDE, Moved, Row, Table, inside, shown
from cero_api.analysis.history.values import Value, Values
from cero_api.errors import TraceError

_PROMPTS = {plain_name(name) for name in SYNONYMS["prompt"]}
_VALUES = {plain_name(name) for role in VALUES for name in SYNONYMS[role]}


def json_table(path: Path) -> Table | Mapping[str, Any]:
    """The rows of a JSON file, or what it says of each prompt by its name.

    A file of one object is a table if it holds columns (`{"prompt": [...], "pass_rate": [...]}`, or as pandas writes
    them), a list of rows (`{"results": [{...}, ...]}`) or a row by prompt (`{"q1": {"pass_rate": 0.5}}`); any other
    is a rate, or a list of them, by prompt.
    """
    with Text(path) as text:
        sample = list(itertools.islice(Values(text), SAMPLE))
    if not sample:
        raise TraceError(f"{path} holds no record; give one in which prompts were rolled out")
    only = sample[0]
    if len(sample) == 1 and not only.listed and isinstance(only.data, dict) and not _is_row(only.data, path):
        return _inverted(path, only.data)
    notes: list[str] = []

    def values(moved: Moved) -> Iterator[Value]:
        with Text(path) as text:
            found = Values(text)
            for number, value in enumerate(found):
                if not number % STRIDE:
                    moved(text.fraction)
                yield value
            if found.torn is not None:
                notes.append(f"{path.name}, line {found.torn} is torn and was passed over")

    return _table(path, sample, values, notes)


def _is_row(data: Mapping[str, Any], path: Path) -> bool:
    """Whether a file's only object is one row of a table: one prompt, and what is known of it."""
    prompts = [value for name, value in data.items() if plain_name(name) in _PROMPTS]
    if prompts and _VALUES & set(map(plain_name, _names(data))):
        return any(not isinstance(prompt, list | dict) or is_chat(prompt) for prompt in prompts)
    flat = not any(isinstance(value, list | dict) for value in data.values())
    return flat and path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))


def _inverted(path: Path, data: dict[str, Any]) -> Table | Mapping[str, Any]:
    columns = list(data.values())
    if isinstance(data.get("columns"), list) and isinstance(data.get("data"), list):
        names = [str(name) for name in data["columns"]]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise TraceError(f"{path} has {names.count(twice)} columns {twice!r}; rename all but the one to be read")
        return _listed(path, _zipped(names, data["data"]))
    plain = set(map(plain_name, data))
    named = bool(plain & _PROMPTS and plain & _VALUES)
    if named and all(isinstance(column, list) for column in columns):
        return _listed(path, _zipped(list(data), zip(*columns, strict=False)))
    if named and all(isinstance(column, dict) for column in columns):
        return _listed(path, _zipped(list(data), ([column.get(row) for column in columns] for row in columns[0])))
    if columns and all(isinstance(column, dict) for column in columns):
        return _listed(path, ({"prompt": key, **row} for key, row in data.items()))
    lists = [column for column in columns if isinstance(column, list) and any(isinstance(row, dict) for row in column)]
    return _listed(path, lists[0]) if len(lists) == 1 else data


def _zipped(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (dict(zip(names, row, strict=False)) for row in rows)


def _listed(path: Path, rows: Iterable[Any]) -> Table:
    values = [Value(number, True, row) for number, row in enumerate(rows, start=1)]
    return _table(path, values[:SAMPLE], lambda _: iter(values), [])


def _table(path: Path, sample: Sequence[Value], values: Callable[[Moved], Iterator[Value]], notes: list[str]) -> Table:
    names = list(dict.fromkeys(name for value in sample for name in _names(_object(path, value))))

    def rows(wanted: Sequence[str], moved: Moved) -> Iterator[Row]:
        ways = [(name, name.split(".")) for name in wanted]
        for value in values(moved):
            data = _object(path, value)
            yield value.line, [data[name] if name in data else inside(data, way) for name, way in ways]

    def first(name: str) -> list[Any]:
        return [inside(value.data, [name]) for value in sample]

    return Table(path, names, rows, first, notes)


def _object(path: Path, value: Value) -> dict[str, Any]:
    if isinstance(value.data, dict):
        return value.data
    raise TraceError(
        f"{path}, line {value.line}: no JSON object but {shown(value.data)}; write one object per prompt, such as "
        '{"prompt": "…", "pass_rate": 0.5}'
    )


def _names(data: Mapping[str, Any], above: str = "", depth: int = 0) -> Iterator[str]:
    for name, value in data.items():
        if isinstance(value, dict) and depth < 3:
            yield from _names(value, f"{above}{name}.", depth + 1)
        else:
            yield above + name
