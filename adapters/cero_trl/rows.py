"""Rows of the train dataset by their number: a prompt's identity through shuffling, epochs, restarts and overrides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cero_api.errors import ConfigurationError


class DatasetRow(Mapping[str, Any]):
    """A row as TRL's loader would hand it out, which knows its number and is read when somebody looks into it.

    The loader hands out every prompt `num_generations` times, for each of the micro-batches that are made of it; only
    those that are dealt are generated from, and read.

    Args:
        pool: the train dataset, without the columns that TRL drops.
        number: of the row.
    """

    __slots__ = ("_columns", "_pool", "number")

    def __init__(self, pool: Any, number: int) -> None:
        self._pool = pool
        self.number = number
        self._columns: dict[str, Any] | None = None

    def copy(self) -> dict[str, Any]:
        """A dict of its own."""
        return dict(self._read())

    def _read(self) -> dict[str, Any]:
        if self._columns is None:
            self._columns = self._pool[self.number]
        return self._columns

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __repr__(self) -> str:
        return f"<row {self.number}: {self._read()!r}>"


class LaterRow(DatasetRow):
    """A row of a round's second wave, which nobody knows before its pilot is rewarded.

    Args:
        pool: as above.
    """

    __slots__ = ()

    def __init__(self, pool: Any) -> None:
        super().__init__(pool, -1)

    def become(self, number: int) -> dict[str, Any]:
        """The row that it is from now on."""
        self.number, self._columns = number, self._pool[number]
        return self._columns

    def _read(self) -> dict[str, Any]:
        if self.number < 0:
            raise ConfigurationError(
                "with a pilot, the rows of a round's second wave are not known before the first is rewarded; an "
                "override of _generate_and_score_completions may look at rows after super() and may not change them: "
                "change them in the train dataset, or leave pilot out"
            )
        return super()._read()

    def __setitem__(self, name: str, value: Any) -> None:
        self._read()[name] = value

    def __repr__(self) -> str:
        return "<a row of the second wave>" if self.number < 0 else super().__repr__()


class Named(Sequence[str]):
    """Prompts of a round's rollouts in words, for a warning; read where one is asked for.

    Args:
        pool: as above.
        numbers: `[N]`, row of each rollout.
    """

    def __init__(self, pool: Any, numbers: Sequence[int]) -> None:
        self._pool = pool
        self._numbers = numbers

    def __getitem__(self, index: Any) -> Any:
        number = int(self._numbers[index])
        return f"{number}, {self._pool[number].get('prompt', '')!r}"

    def __len__(self) -> int:
        return len(self._numbers)


def numbers_of(batch: Sequence[Any]) -> list[int] | None:
    """Row numbers of a batch as the loader handed it out; None if a subclass put other rows into it.

    >>> pool = [{"prompt": "a"}, {"prompt": "b"}]
    >>> numbers_of([DatasetRow(pool, 1), DatasetRow(pool, 0)]), numbers_of([{"prompt": "a"}])
    ([1, 0], None)
    """
    if not all(isinstance(row, DatasetRow) for row in batch):
        return None
    return [row.number for row in batch]


def check_handed_on(rows: Sequence[Any], dealt: Sequence[Any] | None) -> None:
    """Refuse to generate from other rows than were dealt, whose groups would be taken for those of the deal.

    Args:
        rows: of this process, as the last override of `_generate_and_score_completions` handed them on.
        dealt: as they were handed to the first; None if nothing is dealt.

    Raises:
        ConfigurationError: they are others, of another number, or in another order.

    >>> first, second = {"prompt": "a"}, {"prompt": "b"}
    >>> check_handed_on([{"prompt": "c"}, second], [first, second])
    """
    if dealt is None:
        raise ConfigurationError(
            "rows are generated from that no allocator dealt: a class calls _generate_and_score_completions twice in a "
            "round, or with rows of its own; call it once, by way of _prepare_inputs, with the rows that it gets"
        )
    if len(rows) != len(dealt):
        raise ConfigurationError(
            f"{len(rows)} rows were handed on where {len(dealt)} were dealt to this process; an override of "
            "_generate_and_score_completions may change rows, and must keep their number and order"
        )
    place = {id(row): at for at, row in enumerate(dealt)}
    moved = next((at for at, row in enumerate(rows) if place.get(id(row), at) != at), None)
    if moved is not None:
        raise ConfigurationError(
            f"row {place[id(rows[moved])]} of those dealt to this process was handed on as row {moved}, so that its "
            "rollout would count for another prompt's group; an override of _generate_and_score_completions may change "
            "rows, and must keep their number and order"
        )
