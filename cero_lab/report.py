"""The report: one page that needs nothing but itself, and its figures as PNG files beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cero_api.analysis.learning import Comparison, write_trainings
from cero_api.analysis.report import html_figure, html_notes, html_page, html_table, html_text
from cero_api.analysis.report.learning import learning_parts
from cero_api.files import write_whole
from cero_lab.plots import Histories, draw_all
from cero_lab.settings import DemoSettings
from cero_lab.summary import HOW, LOSS

RECORDS_FILE = "trainings.json"  # what `cero report` reads


def write_report(
    settings: DemoSettings,
    histories: Histories,
    comparison: Comparison,
    rows: Sequence[Mapping[str, str]],
    verdicts: Sequence[str],
) -> Path:
    """Draw the figures, write the page, and the records of the trainings beside it.

    Args:
        settings: Of the comparison.
        histories: Of its runs, complete.
        comparison: Of the same runs.
        rows: A line for each training.
        verdicts: One sentence for each allocator.

    Returns:
        The HTML file.
    """
    folder = settings.out / f"report-{settings.pool}"
    folder.mkdir(parents=True, exist_ok=True)
    (records,) = comparison.records.values()
    write_trainings(records, folder / RECORDS_FILE)
    first, *others = [html_figure(caption, file) for caption, file in draw_all(settings, histories, comparison, folder)]
    sentences = "".join(f'<li class="{"lost" if LOSS in said else "won"}">{html_text(said)}</li>' for said in verdicts)
    sizes = settings.train
    chosen = "\n".join(map(html_text, settings.model_dump_json(indent=2).splitlines()))
    parts = [
        f"""<p>GRPO by TRL on a small language model, {sizes.budget:,} rollouts for each training; pool
<b>{settings.pool}</b> of {sizes.prompts} prompts, {sizes.rounds} rounds of {sizes.prompts_per_round} groups of
{sizes.group_size}: {settings.visits:.1f} visits a prompt.</p>
<ul>{sentences}</ul>""",
        first,
        *learning_parts(comparison, folder),
        *html_notes(HOW),
        "<h2>What went on</h2>",
        html_table(rows),
        *others,
        f"<details><summary>Settings</summary><pre>{chosen}</pre></details>",
    ]
    path = folder / "index.html"
    write_whole(path, html_page("CERO against uniform allocation", "\n".join(parts)))
    return path
