"""The tables of `cero report`, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cero_api.analysis.learning import TrainingResult
from cero_api.analysis.report import learning_cells
from cero_api.analysis.report.learning_table import filled


def markdown(results: Mapping[str, TrainingResult]) -> str:
    """What every variant of a regime learned."""
    return table(filled([learning_cells(label, result) for label, result in results.items()]))


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Texts by heading as a table in Markdown."""
    return lines([list(rows[0]), *(list(row.values()) for row in rows)])


def lines(rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first row is the headings."""
    heading, *body = rows
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ["---"] * len(heading), *body))
