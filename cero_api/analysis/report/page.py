"""One HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from cero_api.analysis.report.figures import FIGURES, PLOT_STYLE
from cero_api.analysis.report.summary import RunSummary
from cero_api.errors import ConfigurationError
from cero_api.extras import load_extra

Drawn = TypeVar("Drawn")
_PAGE_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
td { white-space: nowrap }
th:first-child, td:first-child, .left { text-align: left }
th { border-bottom: 2px solid #888; vertical-align: bottom }
figure { margin: 2rem 0 } img { max-width: 100% } figcaption, .note { color: #555; font-size: .9rem; max-width: 46rem }
.lost { color: #b00020; font-weight: 600 } details { margin-top: 2rem } pre { overflow-x: auto; font-size: .8rem }
"""


def write_report(runs: Sequence[RunSummary], folder: str | os.PathLike[str], title: str = "Rollout allocation") -> Path:
    """Draw the figures as PNG files and write one HTML page that holds them all.

    Args:
        runs: at least one; of one training, or of several to compare.
        folder: made if need be.
        title: of the page.

    Returns:
        The page, `folder/index.html`.

    Raises:
        ConfigurationError: no runs.
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    if not runs:
        raise ConfigurationError("no runs to report on; give at least one")
    notes = [f"{run.label}: {run.note}" for run in runs if run.note is not None]
    notes.append("Shares of groups do not say what was learned from them; compare held-out accuracy for that.")
    plots = {name: (caption, height(len(runs)), draw) for name, (caption, height, draw) in FIGURES.items()}
    return write_page(folder, title, [_summary_cells(run) for run in runs], runs, plots, notes)


def write_page(
    folder: str | os.PathLike[str],
    title: str,
    rows: Sequence[Mapping[str, str]],
    drawn: Drawn,
    plots: Mapping[str, tuple[str, float, Callable[[Any, Drawn], None]]],
    notes: Iterable[str],
) -> Path:
    """Draw figures as PNG files, and write one page with a table, the figures and notes.

    Args:
        folder: made if need be.
        title: of the page.
        rows: of the table, texts by heading.
        drawn: what the figures show.
        plots: by file name, the caption, the height in inches, and what draws it on a figure.
        notes: below the figures.

    Returns:
        The page, `folder/index.html`.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    parts = [html_table(rows)]
    for name, (caption, height, draw) in plots.items():
        parts.append(write_figure(Path(folder) / f"{name}.png", caption, height, partial(_drawn, draw, drawn)))
    return write_parts(folder, title, [*parts, *html_notes(notes)])


def write_parts(folder: str | os.PathLike[str], title: str, parts: Iterable[str]) -> Path:
    """Write one page of what is given.

    Args:
        folder: made if need be.
        title: of the page.
        parts: HTML, in order.

    Returns:
        The page, `folder/index.html`.
    """
    page = Path(folder) / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(html_page(title, "\n".join(parts)), encoding="utf-8")
    return page


def write_figure(file: Path, caption: str, height: float, draw: Callable[[Any], None]) -> str:
    """Draw a figure as a PNG file.

    Args:
        file: of the picture; its folder is made if need be.
        caption: under it.
        height: in inches.
        draw: called with matplotlib's figure.

    Returns:
        HTML that holds the picture.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    matplotlib, figure_type = load_extra("matplotlib", "plot"), load_extra("matplotlib.figure", "plot").Figure
    file.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(PLOT_STYLE):
        figure = figure_type(figsize=(9.0, height), layout="constrained")
        draw(figure)
        figure.savefig(file)
    return html_figure(caption, file)


def _drawn(draw: Callable[[Any, Drawn], None], drawn: Drawn, figure: Any) -> None:
    draw(figure, drawn)


def html_notes(notes: Iterable[str]) -> list[str]:
    """A paragraph each."""
    return [f'<p class="note">{escape(note)}</p>' for note in notes]


def html_page(title: str, body: str) -> str:
    """A page that needs nothing but itself."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f"<style>{_PAGE_STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )


def html_figure(caption: str, file: Path) -> str:
    """A PNG file, embedded, over its caption."""
    data, text = base64.b64encode(file.read_bytes()).decode(), escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table with the headings of its first row.

    Args:
        rows: texts by heading, at least one row.
    """
    heads = "".join(f"<th>{escape(head)}</th>" for head in rows[0])
    lines = ("".join(f"<td>{escape(cell)}</td>" for cell in row.values()) for row in rows)
    return (
        f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(f'<tr>{line}</tr>' for line in lines)}</tbody></table>"
    )


def _summary_cells(run: RunSummary) -> dict[str, str]:
    def text(value: object) -> str:
        return f"{value:.1%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    return {head: text(cell) for head, cell in run.numbers().items()}
