"""Histories from tables: rows that are visits, or single rollouts, of one file or of several."""

from __future__ import annotations

import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from cero_api._types import FloatArray, IntArray
from cero_api.analysis.history.builder import Builder, Fields, Progress
from cero_api.analysis.history.cells import Cell, cells, key_of, share, whole
from cero_api.analysis.history.names import Columns, Role, find, is_percent
from cero_api.analysis.history.table import Table
from cero_api.errors import TraceError
from cero_api.mathematics.rounding import within
from cero_api.prompts import Key
from cero_api.rewards import SuccessRule


def from_tables(
    tables: Iterable[Table],
    source: Path,
    given: Mapping[Role, str | None],
    rule: SuccessRule,
    progress: Progress | None = None,
    files: int = 1,
) -> Fields:
    """Tables of one record, one after the other.

    Args:
        tables: at least one.
        source: file or folder, for the message of an error.
        given: columns that the caller named, by role.
        rule: how the reward of a rollout becomes a success.
        progress: called with the share that is read.
        files: how many tables there are.
    """
    entries, notes = _Entries(), list[str]()
    for number, table in enumerate(tables):
        columns = find(table.path, table.names, given, table.first)

        def moved(part: float, number: int = number) -> None:
            if progress is not None:
                progress((number + part) / files)

        entries.read(table, columns, moved)
        notes += table.notes
    if progress is not None:
        progress(1.0)
    return entries.fields(source, columns, rule, notes)


class _Entries:
    """What rows say, as columns of 32 bytes a row: a visit with its counts, a rate, or the reward of a rollout."""

    def __init__(self) -> None:
        self._rows: dict[Key, int] = {}
        self._round, self._row, self._of = (array.array("q") for _ in range(3))
        self._amount = array.array("d")  # a sum over `of` rollouts; where that is 0, a rate or a reward
        self._total = self._empty = 0
        self._largest = 0.0  # of a column of percentages

    def read(self, table: Table, columns: Columns, moved: Callable[[float], None]) -> None:
        """Append the rows of a table."""
        wanted = columns.wanted
        place = {name: wanted.index(name) for name in wanted}
        prompt, value = place[columns.prompt], place[columns.value]
        count, failure, round = (
            None if name is None else place[name] for name in (columns.count, columns.failure, columns.round)
        )
        percent, comma = is_percent(columns.value), table.decimal_comma
        for number, fields in table.rows(wanted, moved):
            where = f"{table.path}, line {number}"
            row = self._rows.setdefault(key_of(fields[prompt], where), len(self._rows))
            found = cells(fields[value], columns.value, where, comma)
            time = 0 if round is None else whole(fields[round], wanted[round], where)
            rollouts = 0
            if count is not None:
                of = cells(fields[count], wanted[count], where)
                rollouts = whole(fields[count], wanted[count], where) if of else 0
                found = found if rollouts else []
            elif failure is not None and found:
                lost = cells(fields[failure], wanted[failure], where)
                rollouts = whole(found[0].amount + lost[0].amount, wanted[failure], where) if lost else 0
                found = found if rollouts else []
            self._total += 1
            if not found:
                self._empty += 1
                self._append(time, row, rollouts, np.nan)
            for cell in found:
                amount, of_cell = self._judged(cell, columns, rollouts, where, percent)
                self._append(time, row, of_cell, amount)

    def _judged(self, cell: Cell, columns: Columns, rollouts: int, where: str, percent: bool) -> tuple[float, int]:
        """Successes and of how many rollouts, or a rate or reward and 0."""
        if cell.of:
            return cell.amount, cell.of
        if columns.kind == "success":
            if not rollouts and cell.amount in (0.0, 1.0):
                return cell.amount, 1  # whether one rollout succeeded
            if not rollouts:
                raise TraceError(
                    f"{where}: {columns.value} {cell.amount:g}, and no count column (count, n or the like) says of how "
                    "many rollouts; name it with --count-column (count_column=)"
                )
            won = within(cell.amount, 0.0, rollouts)
            if not 0 <= won <= rollouts:
                raise TraceError(f"{where}: {won:g} successes in {rollouts} rollouts; correct the row")
            return won, rollouts
        if columns.kind == "reward" and not rollouts:
            return cell.amount, 0
        rate = share(cell, columns.value, where, percent)
        self._largest = max(self._largest, rate)
        return rate * max(rollouts, 1), rollouts

    def _append(self, round: int, row: int, of: int, amount: float) -> None:
        self._round.append(round)
        self._row.append(row)
        self._of.append(of)
        self._amount.append(amount)

    def fields(self, source: Path, columns: Columns, rule: SuccessRule, notes: list[str]) -> Fields:
        """All rows as visits."""
        round, row, of = (np.frombuffer(column, dtype=np.int64) for column in (self._round, self._row, self._of))
        amount = np.frombuffer(self._amount, dtype=np.float64).copy()
        known = ~np.isnan(amount)
        if not known.any():
            raise TraceError(
                f"{source} holds not one visit: {self._total} rows, none with a {columns.value}; give a record in "
                "which prompts were rolled out, or name another column"
            )
        if self._empty:
            notes.append(
                f"Rows without {columns.value}, which are no visits of their prompts: {self._empty} of {self._total}."
            )
        if self._largest > 1:  # a column of percentages, and not one that is only called so
            amount /= 100.0
        repeated = _repeated(row, round)
        if _single(columns, amount[known], of[known], repeated, notes, source):
            if columns.kind == "reward":
                amount[known] = _judged(amount[known], columns.value, rule, notes)
            of = np.ones_like(of)
        elif columns.round is not None and repeated:
            notes.append("Some prompts are in a round several times; what the rows say of them is summed.")
        else:
            round = round if columns.round is not None else _occurrence(row)
        scored = np.where(known, np.maximum(of, 1), 0)
        return _builder(columns, round, row, scored, np.where(known, amount, 0.0), np.maximum(of, scored)).fields(
            list(self._rows), source=source, counts_known=bool(of[known].all()), notes=tuple(notes)
        )


def _single(columns: Columns, amount: FloatArray, of: IntArray, repeated: bool, notes: list[str], source: Path) -> bool:
    """Whether each row is one rollout, to be summed with the others of its prompt and round."""
    if columns.kind != "reward":
        counted = columns.count is not None or columns.failure is not None or (of > 1).any()
        return repeated and not counted and bool(np.isin(amount, (0.0, 1.0)).all())
    if not of.any() and (repeated or not _are_rates(amount)):
        return True
    if columns.count is None:
        notes.append(f"{columns.value} is taken for the mean of a prompt's rollouts: no prompt has two rows.")
    if not ((amount >= 0) & (amount <= np.maximum(of, 1))).all():
        raise TraceError(f"{source}: {columns.value} holds both fractions and rewards; name another column")
    return False


def _are_rates(amount: FloatArray) -> bool:
    return bool(((amount >= 0) & (amount <= 1)).all() and ((amount > 0) & (amount < 1)).any())


def _judged(reward: FloatArray, name: str, rule: SuccessRule, notes: list[str]) -> FloatArray:
    """Successes of single rollouts."""
    won = rule.successes(reward)
    least = 1.0 if rule.success_threshold is None else rule.success_threshold
    notes.append(
        f"A rollout is a success if its {name} reaches {least:g}."
        if won.any()
        else f"No {name} reaches {least:g}, so every rollout counts as a failure; the highest is {reward.max():g}. "
        "Give another threshold with --success-threshold."
    )
    return won


def _repeated(row: IntArray, round: IntArray) -> bool:
    """Whether a prompt has two rows in one round."""
    order = np.lexsort((row, round))
    return bool(((np.diff(row[order]) == 0) & (np.diff(round[order]) == 0)).any())


def _occurrence(row: IntArray) -> IntArray:
    """How many rows of the same prompt are before each.

    >>> _occurrence(np.array([5, 7, 5, 5]))
    array([0, 0, 1, 2])
    """
    order = np.argsort(row, kind="stable")
    place = np.arange(row.size)
    first = np.diff(row[order], prepend=-1) != 0
    number = np.empty_like(row)
    number[order] = place - np.maximum.accumulate(np.where(first, place, 0))
    return number


def _builder(
    columns: Columns, round: IntArray, row: IntArray, scored: IntArray, won: FloatArray, given: IntArray
) -> Builder:
    """Rows of one prompt in one round summed, and all in time order; within a round as they came."""
    order = np.lexsort((np.arange(row.size), row, round))
    new = (np.diff(round[order], prepend=-1) != 0) | (np.diff(row[order], prepend=-1) != 0)
    starts = np.flatnonzero(new)
    first = order[starts]
    place = np.lexsort((first, round[first]))
    builder = Builder(timed=columns.round is not None)
    builder.add(
        round[first][place],
        row[first][place],
        *(np.add.reduceat(column[order], starts)[place] for column in (scored, won, given)),
    )
    return builder
