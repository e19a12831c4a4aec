"""What a table says of its prompts beside their pass rates: where they come from, and how long they are."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from cero_api._types import FloatArray
from cero_api.adapting.known import SOURCES, prompt_features
from cero_api.analysis.history.cells import key_of
from cero_api.analysis.history.names import Role, find
from cero_api.analysis.history.read import tables_of
from cero_api.prompts import Key


class Told(NamedTuple):
    """What is known of a record's prompts before their first visit.

    >>> Told().source
    False
    """

    rates: str | None = None  # column of pass rates, one a prompt
    columns: tuple[str, ...] = ()  # that say where a prompt is from
    features: FloatArray | None = None  # [M, d] these and the length, of the record's prompts
    samples: str | None = None  # column of the rollouts behind each rate

    @property
    def source(self) -> bool:
        """Whether something says where a prompt is from."""
        return bool(self.columns)


def told_by_table(
    path: str | os.PathLike[str], keys: Sequence[Key], given: dict[Role, str | None] | None = None
) -> Told:
    """What the trainers would look at: the columns of sources, as features, and which column has the rates.

    Args:
        path: of a record, whatever it is.
        keys: of its prompts, as `read_history` has them.
        given: columns that the caller named, by role.

    Raises:
        TraceError: the file cannot be read.
    """
    tables = tables_of(path)
    if not tables:
        return Told()
    values: dict[Key, tuple[object, ...]] = {}
    rates: str | None = None
    samples: str | None = None
    sources = tuple(name for name in SOURCES if all(name in table.names for table in tables))
    for table in tables:
        columns = find(table.path, table.names, given or {}, table.first)
        if columns.kind == "rate" and columns.round is None:
            rates, samples = columns.value, columns.count
        if not sources:
            continue
        wanted = list(dict.fromkeys([columns.prompt, *sources]))
        for line, row in table.rows(wanted, lambda _: None):
            key = key_of(row[0], f"{table.path}, line {line}")
            values.setdefault(key, (row[0], *(row[wanted.index(name)] for name in sources)))
    if not sources or not all(key in values for key in keys):
        return Told(rates, samples=samples)
    prompts, *others = zip(*(values[key] for key in keys), strict=True)
    return Told(rates, sources, prompt_features(prompts, dict(zip(sources, others, strict=True))), samples)
