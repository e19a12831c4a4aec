"""`cero compare` is the demo with every allocator, and uniform first."""

from pathlib import Path

import pytest

from cero_api import available_allocators
from cero_api.cli.options import allocator_names
from cero_lab.commands import compare as module
from cero_lab.commands.options import Pool


def test_it_is_the_demo_with_every_allocator_and_three_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "demo", lambda *options: calls.append(options))
    module.compare()
    ((pool, starts, seeds, seed, names, scope, *_, out, jobs, as_json),) = calls
    assert (pool, starts, seeds, seed) == (Pool.hard, 3, 1, 0)
    assert (names, scope, out, jobs) == ("all", None, Path("runs/compare"), 2)
    assert as_json is False


def test_all_is_every_allocator_and_the_baseline_comes_first() -> None:
    names = allocator_names("all")
    assert set(names) == set(available_allocators())
    assert names[0] == "uniform"
    assert allocator_names("cero, uniform,cero") == ["cero", "uniform"]
