"""`cero compare` is the demo with every allocator, and uniform first."""

from pathlib import Path

import pytest

from cero_api import available_allocators
from cero_api.cli import compare as module
from cero_api.cli.demo import Pool


@pytest.mark.parametrize(
    ("asked", "expected"), [("", set(available_allocators())), ("cero,uniform", {"cero", "uniform"})]
)
def test_it_trains_every_allocator_unless_some_are_named(
    asked: str, expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "demo", lambda *options: calls.append(options))
    module.compare(asked)
    ((pool, seeds, seed, names, *_, out, jobs, as_json),) = calls
    assert (pool, seeds, seed, out, jobs) == (Pool.hard, 3, 0, Path("runs/compare"), 2)
    assert isinstance(names, str)
    assert as_json is False
    assert set(names.split(",")) == expected
    assert asked or names.startswith("uniform,")
