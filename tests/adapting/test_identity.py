"""A run is told from another by everything but its length."""

from pathlib import Path

import pytest

from cero_api import TraceError, UniformAllocator, UniformConfig, continued, make_allocator
from cero_api.adapting import run_identity
from cero_api.trace import TraceReader, TraceWriter


def test_a_longer_training_goes_on_with_its_trace(tmp_path: Path) -> None:
    path, allocator = tmp_path / "trace.jsonl", make_allocator("cero", num_prompts=8, rounds=2, budget=64)
    with TraceWriter(path, num_prompts=8, metadata=run_identity(allocator, seed=1)) as trace:
        trace.write(0, [1], [8], [4])
    config = allocator.config.model_copy(update={"rounds": 9, "budget": 256, "capacity": 32, "pacing": "fixed"})
    with TraceWriter(path, num_prompts=8, metadata=run_identity(continued(allocator, config), seed=1)) as trace:
        trace.write(1, [2], [8], [4])
    assert [part.round for part in TraceReader(path)] == [0, 1]
    for other in (
        run_identity(allocator, seed=2),
        run_identity(make_allocator("cero", num_prompts=8, rounds=2, budget=64, saturation=2.0), seed=1),
        run_identity(make_allocator("uniform", num_prompts=8, rounds=2, budget=64), seed=1),
    ):
        with pytest.raises(TraceError, match="another run's trace"):
            TraceWriter(path, num_prompts=8, metadata=other)


def test_ones_own_allocator_goes_by_the_name_of_its_class() -> None:
    class Mine(UniformAllocator):
        pass

    allocator = Mine(UniformConfig(num_prompts=8, rounds=2, budget=64))
    assert run_identity(allocator)["allocator"].endswith("Mine")
