"""docs/papers.md: a row for every method, and beside each setting of a preset the value that the preset has."""

import ast
import pathlib
import re
from typing import Any

import pytest

from cero_api import available_allocators, make_allocator
from cero_api.allocators import config_type

PAGE = pathlib.Path(__file__).parents[1] / "docs" / "papers.md"
if not PAGE.exists():
    pytest.skip("the sources are not beside the tests of the wheel", allow_module_level=True)
TEXT = PAGE.read_text(encoding="utf-8")
TABLES = {
    (name, preset): dict(re.findall(r"^\| `(\w+)` \| `([^`]+)` \| [^|]+ \|$", table, re.MULTILINE))
    for name, preset, table in re.findall(r"<!-- preset (\w+) (\w+) -->\n\n(.*?)(?:\n\n|\Z)", TEXT, re.DOTALL)
}
PRESETS = {(name, preset) for name in available_allocators() for preset in vars(config_type(name)).get("presets", {})}


def test_every_method_has_a_row() -> None:
    rows = set(re.findall(r"^\| \[`(\w+)`\]", TEXT, re.MULTILINE))
    # What a test registered, or somebody's plugin, is none of ours.
    ours = {name for name in available_allocators() if config_type(name).__module__.startswith("cero_api.")}
    assert ours <= rows | {"custom"}


@pytest.mark.parametrize(("name", "preset"), sorted(PRESETS))
def test_every_preset_stands_there_with_its_values(name: str, preset: str) -> None:
    stated = {field: ast.literal_eval(value) for field, value in TABLES[name, preset].items()}
    assert stated == config_type(name).presets[preset]


@pytest.mark.parametrize(("name", "preset"), sorted(PRESETS))
def test_every_preset_runs(name: str, preset: str) -> None:
    sizes: dict[str, Any] = {"num_prompts": 640, "rounds": 80, "budget": 80 * 512}
    known = {"features": [[row % 7] for row in range(640)]} if name == "vip" else {}  # its belief goes by them
    allocator = make_allocator(name, preset=preset, **sizes, **known)
    wave = allocator.allocate(total=512).total
    assert wave == (512 if name in available_allocators(waves=1) else 256)  # or a pilot of half of it
