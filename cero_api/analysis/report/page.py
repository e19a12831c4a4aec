"""One HTML page that needs nothing but itself."""

from __future__ import annotations

import base64
import contextlib
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, TypeVar

from cero_api.analysis.report.figures import FIGURES, PLOT_STYLE, say_plainly
from cero_api.analysis.report.learning_table import filled
from cero_api.analysis.report.summary import RunSummary
from cero_api.analysis.text import plain_text
from cero_api.errors import ConfigurationError
from cero_api.extras import load_extra

Drawn = TypeVar("Drawn")
_PAGE_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1, td, li, p, figcaption { overflow-wrap: anywhere }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .5rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child, .left { text-align: left }
th { border-bottom: 2px solid #888; vertical-align: bottom }
.wide { overflow-x: auto } .rows td + td { white-space: nowrap } .rows td:first-child { min-width: 9rem }
figure { margin: 2rem 0 } img { max-width: 100% } figcaption, .note { color: #555; font-size: .9rem; max-width: 46rem }
.plot { overflow-x: auto }
.lost { color: #b00020; font-weight: 600 } details { margin-top: 2rem } pre { overflow-x: auto; font-size: .8rem }
@media (max-width: 72rem) {
  table { display: block; max-width: 100%; overflow-x: auto }
  table.rows, .rows tbody, .rows tr, .rows td { display: block }
  .rows thead { display: none }
  .rows tr { margin: 1rem 0; border-top: 2px solid #888 }
  .rows td { display: flex; justify-content: space-between; gap: 1rem }
  .rows td::before { content: attr(data-label); color: #555; text-align: left; flex: none; max-width: 50% }
  .rows td:first-child { font-weight: 600 } .rows td:empty { display: none }
}
@media (max-width: 40rem) { .plot img { max-width: none; width: 40rem } }
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
        ConfigurationError: no runs, or a folder that cannot be written.
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    if not runs:
        raise ConfigurationError("no runs to report on; give at least one")
    told = {name: figure for name, figure in FIGURES.items() if figure.tells(runs)}
    plots = {name: (figure.caption, figure.height(len(runs)), figure.draw) for name, figure in told.items()}
    return write_page(folder, title, filled(map(run_cells, runs)), runs, plots, run_notes(runs))


def run_cells(run: RunSummary) -> dict[str, str]:
    """One line of the table of runs, as texts by heading; what is not known is empty.

    Args:
        run: its sums.

    >>> run_cells(RunSummary.of_rounds("cero", [(0, [0, 2], [4, 2], [1, 2])], num_prompts=3))["effective groups"]
    '50.0%'
    """

    def text(value: object) -> str:
        if value is None:
            return ""
        return f"{value:.1%}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)

    return {head: text(cell) for head, cell in run.numbers().items()}


def run_notes(runs: Sequence[RunSummary]) -> list[str]:
    """What belongs to the table of runs: faults of their files, and what it does not say.

    Args:
        runs: their sums.
    """
    notes = [f"{run.name}: {run.note}" for run in runs if run.note is not None]
    return [*notes, "Shares of groups do not say what was learned from them; compare held-out accuracy for that."]


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
        ConfigurationError: the folder cannot be made, or not be written.
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

    Raises:
        ConfigurationError: the folder cannot be made, or not be written.
    """
    page = Path(folder) / "index.html"
    with _writing(page):
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
        ConfigurationError: the folder cannot be made, or not be written.
        MissingDependencyError: matplotlib is not installed (extra `plot`).
    """
    matplotlib, figure_type = load_extra("matplotlib", "plot"), load_extra("matplotlib.figure", "plot").Figure
    with matplotlib.rc_context(PLOT_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a label may be in any script
        figure = figure_type(figsize=(9.0, height), layout="constrained")
        draw(figure)
        say_plainly(figure)
        with _writing(file):
            figure.savefig(file)
    return html_figure(caption, file)


def _drawn(draw: Callable[[Any, Drawn], None], drawn: Drawn, figure: Any) -> None:
    draw(figure, drawn)


@contextlib.contextmanager
def _writing(file: Path) -> Iterator[None]:
    """The folder of a file is there, or what keeps it from being written is said."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the name
        raise _unwritten(file, error) from error
    try:
        yield
    except OSError as error:
        raise _unwritten(file, error) from error


def _unwritten(file: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"cannot write the report to {file.parent}: {error}; free the disk, or choose another folder with --out"
    )


def html_notes(notes: Iterable[str]) -> list[str]:
    """A paragraph each, of what belongs to a table or a figure."""
    return [f'<p class="note">{html_text(note)}</p>' for note in notes]


def html_page(title: str, body: str) -> str:
    """A page that needs nothing but itself."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html_text(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_PAGE_STYLE}</style></head><body>\n<h1>{html_text(title)}</h1>\n{body}\n</body></html>\n"
    )


def html_figure(caption: str, file: Path) -> str:
    """A PNG file, embedded, over its caption."""
    data, text = base64.b64encode(file.read_bytes()).decode(), html_text(caption)
    picture = f'<div class="plot"><img alt="{text}" src="data:image/png;base64,{data}"></div>'
    return f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def html_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table with the headings of its first row; columns without a single entry are left out.

    Args:
        rows: texts by heading, at least one row.
    """
    first, *others = rows[0]
    heads = [first, *(head for head in others if any(row[head] for row in rows))]
    titles = "".join(f"<th>{html_text(head)}</th>" for head in heads)
    cells = (
        "".join(f'<td data-label="{html_text(head)}">{html_text(row[head])}</td>' for head in heads) for row in rows
    )
    lines = "".join(f"<tr>{line}</tr>" for line in cells)
    table = f'<table class="rows"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="wide">{table}</div>'


def html_text(text: object) -> str:
    """Text that somebody chose, for a page: on one line, and nothing in it is markup.

    >>> html_text("a < b")
    'a &lt; b'
    """
    return escape(plain_text(text))
