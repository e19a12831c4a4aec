"""The page of other people's methods says what the example's evidence says."""

import importlib
import pathlib

import pytest

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "third_parties.md"


def test_the_page_says_what_the_evidence_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which `python examples/plugin/evidence.py --report` writes."""
    monkeypatch.setattr("cero_lab.grid.variants.VARIANTS", {})  # to which the example adds its method
    table = importlib.import_module("examples.plugin.evidence").told()
    text = PAGE.read_text(encoding="utf-8")
    assert text.partition("<!-- begin hardest_first -->")[2].partition("<!-- end")[0].strip() == table
