"""Tables into the documentation, between marks, so that no number is copied by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def fill(page: Path, blocks: Mapping[str, str]) -> list[str]:
    """Replace what stands between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``.

    Args:
        page: a Markdown file.
        blocks: text by name; those without marks in the page are left out.

    Returns:
        Names that the page has marks for, and that were filled.
    """
    text = page.read_text(encoding="utf-8")
    filled = []
    for name, block in blocks.items():
        begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if found and closed:
            text = f"{before}{begin}\n{block}\n\n{end}{after}"
            filled.append(name)
    page.write_text(text, encoding="utf-8")
    return filled
