"""The report: one page that needs nothing but itself, and its figures as PNG files beside it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from cero_trl.demo.plots import Histories, draw_all
from cero_trl.demo.settings import DemoSettings
from cero_trl.demo.summary import HEADINGS, HOW, Summary, cells, uniform_to_match

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: .35rem .8rem; border-bottom: 1px solid #ddd; text-align: right }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left }
th { border-bottom: 2px solid #888; vertical-align: bottom }
figure { margin: 2rem 0 } img { max-width: 100% } figcaption, .note { color: #555; font-size: .9rem; max-width: 46rem }
.lost { color: #b00020; font-weight: 600 } details { margin-top: 2rem } pre { overflow-x: auto; font-size: .8rem }
"""


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
    reference = uniform_to_match(summaries)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells(s, reference.get(s.seed))) + "</tr>"
        for s in summaries
    )
    sentences = "".join(
        f'<li class="{"lost" if "LOSES" in sentence else "won"}">{escape(sentence)}</li>' for sentence in verdicts
    )
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>CERO against uniform allocation</title>
<style>{_STYLE}</style></head><body>
<h1>CERO against uniform allocation</h1>
<p>GRPO by TRL on a small language model, from one checkpoint, {settings.train.budget:,} rollouts for each allocator;
pool <b>{settings.pool}</b> of {settings.train.prompts} prompts, {settings.train.rounds} rounds of
{settings.train.prompts_per_round} groups of {settings.train.group_size}.</p>
<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
<ul>{sentences}</ul>
<p class="note">{escape(HOW)}</p>
{"".join(_figure(caption, file) for caption, file in figures.items())}
<details><summary>Settings</summary><pre>{escape(settings.model_dump_json(indent=2))}</pre></details>
</body></html>
"""
    path = folder / "index.html"
    path.write_text(page, encoding="utf-8")
    return path


def _figure(caption: str, file: Path) -> str:
    data = base64.b64encode(file.read_bytes()).decode()
    text = escape(caption)
    return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'
