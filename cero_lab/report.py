"""The report: one page that needs nothing but itself, and its figures as PNG files beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cero_api.analysis.report import html_figure, html_notes, html_page, html_table, html_text
from cero_api.files import write_whole
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
    rows = [dict(zip(HEADINGS, row, strict=True)) for row in table_rows(summaries)]
    sentences = "".join(
        f'<li class="{"lost" if "LOSES" in sentence else "won"}">{html_text(sentence)}</li>' for sentence in verdicts
    )
    chosen = "\n".join(map(html_text, settings.model_dump_json(indent=2).splitlines()))
    body = f"""<p>GRPO by TRL on a small language model, from one checkpoint,
{settings.train.budget:,} rollouts for each allocator; pool <b>{settings.pool}</b> of {settings.train.prompts} prompts,
{settings.train.rounds} rounds of {settings.train.prompts_per_round} groups of {settings.train.group_size}.</p>
{html_table(rows)}
<ul>{sentences}</ul>
{"".join(html_notes([HOW]))}
{"".join(html_figure(caption, file) for caption, file in figures.items())}
<details><summary>Settings</summary><pre>{chosen}</pre></details>"""
    path = folder / "index.html"
    write_whole(path, html_page("CERO against uniform allocation", body))
    return path
