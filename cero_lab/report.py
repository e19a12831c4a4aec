"""The report: one page that needs nothing but itself, and its figures as PNG files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

from cero_api.analysis.report import html_figure, html_page
from cero_lab.plots import Histories, draw_all
from cero_lab.settings import DemoSettings
from cero_lab.summary import HEADINGS, HOW, Summary, table_rows


def write_report(
    settings: DemoSettings, histories: Histories, summaries: Sequence[Summary], verdicts: Sequence[str]
) -> Path:
    """Draw the figures and write the page.

    Args:
        settings: Of the comparison.
        histories: Of its runs, complete.
        summaries: Of the same runs.
        verdicts: One sentence for each allocator and seed.

    Returns:
        The HTML file.
    """
    folder = settings.out / f"report-{settings.pool}"
    figures = draw_all(settings, histories, folder)
    heads = "".join(f"<th>{escape(name)}</th>" for name in HEADINGS)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table_rows(summaries)
    )
    sentences = "".join(
        f'<li class="{"lost" if "LOSES" in sentence else "won"}">{escape(sentence)}</li>' for sentence in verdicts
    )
    body = f"""<p>GRPO by TRL on a small language model, from one checkpoint,
{settings.train.budget:,} rollouts for each allocator; pool <b>{settings.pool}</b> of {settings.train.prompts} prompts,
{settings.train.rounds} rounds of {settings.train.prompts_per_round} groups of {settings.train.group_size}.</p>
<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
<ul>{sentences}</ul>
<p class="note">{escape(HOW)}</p>
{"".join(html_figure(caption, file) for caption, file in figures.items())}
<details><summary>Settings</summary><pre>{escape(settings.model_dump_json(indent=2))}</pre></details>"""
    path = folder / "index.html"
    path.write_text(html_page("CERO against uniform allocation", body), encoding="utf-8")
    return path
