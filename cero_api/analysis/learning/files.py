"""Records of many trainings: from files and folders, and into one file that stays small."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter

from cero_api.analysis.learning.record import TrainingRecord, parsed
from cero_api.errors import TraceError
from cero_api.files import write_whole

FORMAT, VERSION = "cero-trainings", 1
R = TypeVar("R", bound=TrainingRecord)


def read_trainings(paths: Iterable[str | os.PathLike[str]]) -> list[TrainingRecord]:
    """Records from files, each of one training or of several, and from every `*.json` of folders.

    Two files (or two folders of files of one training each) that hold the same training, of no named regime, cannot be
    one comparison: each is taken for a regime by itself, and called by its name.

    Args:
        paths: of files and folders.

    Returns:
        In the order of the paths, a folder's by name.

    Raises:
        TraceError: a file that holds no record, a folder without one, or the same training twice.
    """
    return read_records(paths, TrainingRecord)


def read_records(paths: Iterable[str | os.PathLike[str]], kind: type[R]) -> list[R]:
    """The same for records that keep more than a comparison needs.

    Args:
        paths: of files and folders.
        kind: of the records.

    Raises:
        TraceError: as `read_trainings`.
    """
    placed: list[tuple[R, Path, Path]] = []  # record, file, and what could be a regime by itself
    for path in map(Path, paths):
        files = sorted(path.glob("*.json")) if path.is_dir() else [path]
        if not files:
            raise TraceError(f"{path} holds no .json; give the folder of the records")
        for file in files:
            records = parsed(file, partial(_records, kind))
            placed += [(record, file, file if len(records) > 1 else file.parent) for record in records]
    if _twins(placed):
        placed = [
            (record if record.regime else record.model_copy(update={"regime": place.stem}), file, place)
            for record, file, place in placed
        ]
        twins = _twins(placed)
        if twins:
            record, one, other = twins[0]
            start = f"start {record.start}, " if record.start else ""
            raise TraceError(f"{record.label}, {start}seed {record.seed}, is in {one} and in {other}; keep one")
    return [record for record, _, _ in placed]


def _twins(placed: Sequence[tuple[R, Path, Path]]) -> list[tuple[R, Path, Path]]:
    """Records that stand twice in one regime, and the files of both."""
    found: dict[tuple[str, str, str, int], Path] = {}
    twins = []
    for record, file, _ in placed:
        key = (record.regime, record.label, *record.pair)
        if key in found:
            twins.append((record, found[key], file))
        found[key] = file
    return twins


class _File(BaseModel):
    format: str
    version: int = 0
    shared: dict[str, Any] = {}
    trainings: list[dict[str, Any]] = []


def _records(kind: type[R], path: Path, data: bytes) -> list[R]:
    value: Any = TypeAdapter(Any).validate_json(data)
    if isinstance(value, dict) and "format" in value:
        file = _File.model_validate(value)
        if (file.format, file.version) != (FORMAT, VERSION):
            raise TraceError(
                f"{path} has the format {file.format!r}, version {file.version}; this cero-api reads {FORMAT!r}, "
                f"version {VERSION}: use the cero-api that wrote it"
            )
        value = [file.shared | row for row in file.trainings]
    elif not isinstance(value, list):
        return [kind.model_validate(value)]
    return TypeAdapter(list[kind]).validate_python(value)  # type: ignore[valid-type]  # the kind is known only here


def write_trainings(records: Iterable[TrainingRecord], path: str | os.PathLike[str]) -> None:
    """Write many records into one file: one line each, and what all have in common once.

    2,000 trainings with 21 evaluations of accuracy (five digits) and tokens take less than a megabyte.

    Args:
        records: of all trainings; of one regime or of several.
        path: of the file; its folder is made if need be.
    """
    rows = [record.model_dump(mode="json", exclude_defaults=True) for record in records]
    first = rows[0] if len(rows) > 1 else {}
    shared = {name: value for name, value in first.items() if all(row.get(name) == value for row in rows)}
    kept = [{name: value for name, value in row.items() if name not in shared} for row in rows]
    lines = ",\n".join(json.dumps(row, separators=(",", ":")) for row in kept)
    head = json.dumps({"format": FORMAT, "version": VERSION, "shared": shared}, separators=(",", ":"))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f'{head[:-1]},"trainings":[\n{lines}\n]}}\n')
