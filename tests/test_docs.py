"""The documentation's Python runs, page by page, and every built-in allocator has its page."""

import pathlib
import re

import pytest

from cero_api import available_allocators

DOCS = pathlib.Path(__file__).parents[1] / "docs"
# The README's example, which the quickstart shows, and the guides to a trainer have tests of their own.
PAGES = ["allocators/index.md", "trace.md"]


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_python_runs(page: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_every_allocator_has_its_page() -> None:
    pages = {page.stem for page in (DOCS / "allocators").glob("*.md")}
    assert set(available_allocators()) == pages - {"index"}
