"""Everything that cannot work is refused before a server is asked for anything."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import chz
import pytest
from tinker_cookbook.rl import train
from tinker_cookbook.rl.types import EnvGroupBuilder

import cero_tinker
from cero_api import UniformAllocator, UniformConfig
from cero_api.errors import CeroError, CheckpointError, ConfigurationError
from integration_tests.tinker.tiny import Builder, Dataset, Digits, Policy, config, datasets, roll

URL = "http://127.0.0.1:1"


def setup(folder: Path, **changes: Any) -> train.Config:
    return config(folder, URL, "none", **changes)


def refused(setup: train.Config, words: str, **options: Any) -> None:
    with pytest.raises(CeroError, match=words):
        asyncio.run(cero_tinker.main(setup, **options))


@dataclasses.dataclass
class Sizeless(EnvGroupBuilder):
    async def make_envs(self) -> list[Digits]:
        return [Digits(0)]


class Of(Dataset):
    def __init__(self, batches: list[list[Any]]) -> None:
        self.made = batches

    def get_batch(self, index: int) -> list[Any]:
        return self.made[index]

    def __len__(self) -> int:
        return len(self.made)


@chz.chz
class OfBuilder(Builder):
    made: list[list[Any]] = chz.field(default_factory=list)

    async def __call__(self) -> Any:
        return Of(self.made), None


def test_settings_of_the_cookbook(tmp_path: Path) -> None:
    refused(setup(tmp_path, async_config=train.AsyncConfig(max_steps_off_policy=1, groups_per_batch=4)), "async_config")
    stream = train.StreamMinibatchConfig(groups_per_batch=4, num_minibatches=2)
    refused(setup(tmp_path, stream_minibatch_config=stream), "scope=.batch", scope="pool")
    passing = {"scope": "batch", "allocator_config": {"min_rollouts_per_prompt": 0}}
    refused(setup(tmp_path, stream_minibatch_config=stream), "min_rollouts_per_prompt", **passing)
    with ProcessPoolExecutor(1) as pool:
        refused(setup(tmp_path), "ThreadPoolExecutor", rollout_executor=pool)


def test_an_allocator_twice(tmp_path: Path) -> None:
    async def twice() -> None:
        await cero_tinker.allocated(await cero_tinker.allocated(setup(tmp_path)))

    with pytest.raises(ConfigurationError, match="already"):
        asyncio.run(twice())


def test_datasets(tmp_path: Path) -> None:
    whole = list(Dataset().get_batch(0))
    other = list(Dataset(group=6).get_batch(1))
    for made, words in [([], "batches"), ([whole, []], "empty"), ([whole, other], r"\[4, 6\] rollouts")]:
        refused(setup(tmp_path, dataset_builder=OfBuilder(made=made)), words)
    refused(setup(tmp_path, dataset_builder=OfBuilder(made=[[Sizeless()]])), "resize=")
    refused(setup(tmp_path), "go together", resize=lambda builder, count: builder)
    refused(setup(tmp_path), "text that tells prompts apart", key=lambda builder: 5)


def test_allocators(tmp_path: Path) -> None:
    class Mine(UniformAllocator):
        pass

    size: dict[str, Any] = {"num_prompts": 12, "rounds": 3, "budget": 48}
    refused(setup(tmp_path), "not registered", allocator=Mine(UniformConfig(**size)))
    refused(setup(tmp_path), "12", allocator=UniformAllocator(UniformConfig(**{**size, "num_prompts": 11})))
    refused(setup(tmp_path), "rounds=3", allocator=UniformAllocator(UniformConfig(**{**size, "rounds": 2})))
    refused(setup(tmp_path), "not both", success_threshold=0.5, reward_range=(0, 1))


def checkpoint(folder: Path, step: int) -> None:
    """What the cookbook's own loop leaves behind after so many steps."""
    with (folder / "checkpoints.jsonl").open("a") as file:
        file.write(json.dumps({"name": f"{step:06d}", "batch": step, "state_path": f"tinker://m/{step}"}) + "\n")


def after_two_steps(folder: Path, **options: Any) -> None:
    async def train() -> None:
        dataset = await datasets(setup(folder, save_every=2), **options)
        for step in range(2):
            await roll(dataset, step, Policy())

    asyncio.run(train())
    checkpoint(folder, 2)


def test_a_checkpoint_without_our_state(tmp_path: Path) -> None:
    checkpoint(tmp_path, 2)
    refused(setup(tmp_path), "fresh_start=True")
    made = asyncio.run(datasets(setup(tmp_path), fresh_start=True))
    assert made.allocator.config.rounds == 1  # what is left


def test_a_checkpoint_of_another_run(tmp_path: Path) -> None:
    after_two_steps(tmp_path)
    with pytest.raises(CheckpointError, match=r"saturation=1.0 \(now 2.0\)"):
        asyncio.run(datasets(setup(tmp_path), allocator_config={"saturation": 2.0}))
    with pytest.raises(CheckpointError, match=r"a CeroConfig \(now a UniformConfig\)"):
        asyncio.run(datasets(setup(tmp_path), allocator="uniform"))
    reordered = [list(Dataset().get_batch(index)) for index in (1, 0, 2)]
    with pytest.raises(CheckpointError, match="another dataset"):
        asyncio.run(datasets(setup(tmp_path, dataset_builder=OfBuilder(made=reordered))))
    (tmp_path / "cero" / "000002.json").write_text("{}")
    with pytest.raises(CheckpointError, match="cannot be read"):
        asyncio.run(datasets(setup(tmp_path)))
