"""Rounds over a whole training: resumed as if it had never stopped, longer than planned, chosen from the pool."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tinker_cookbook.rl.rollouts import TrajectoryGroup

from cero_api import load_allocator
from cero_api.errors import CheckpointError
from cero_api.trace import TraceReader
from integration_tests.tinker.test_refusals import OfBuilder, checkpoint, setup
from integration_tests.tinker.tiny import Builder, Dataset, Digits, Policy, datasets, prompt, roll, scripted

SCOPES = ("batch", "window", "pool")


def question(group: TrajectoryGroup) -> tuple[int, ...]:
    return tuple(group.trajectories_G[0].transitions[0].ob.to_ints())


async def steps(dataset: Any, first: int, last: int) -> list[dict[tuple[int, ...], int]]:
    """Counts by prompt, of each step."""
    dealt = []
    for step in range(first, last):
        groups = await roll(dataset, step % len(dataset), Policy(step))
        dealt.append({question(group): len(group.trajectories_G) for group in groups})
    return dealt


def same(one: Any, other: Any) -> None:
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("scope", SCOPES)
def test_resumed_is_as_if_it_had_never_stopped(tmp_path: Path, scope: str) -> None:
    def made(name: str) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        options = {"scope": scope, "trace": folder / "trace.jsonl"}
        return datasets(setup(folder, num_epochs=3, save_every=2), **options)

    async def train() -> None:
        whole = await made("whole")
        dealt = await steps(whole, 0, 9)
        assert await steps(await made("killed"), 0, 5) == dealt[:5]  # saved after 2 and 4, killed in between
        checkpoint(tmp_path / "killed", 2)
        checkpoint(tmp_path / "killed", 4)
        resumed = await made("killed")
        assert await steps(resumed, 4, 9) == dealt[4:]
        same(whole.allocator, resumed.allocator)
        same(whole.allocator, load_allocator(tmp_path / "killed" / "cero" / "000009.npz"))
        uneven = any(len(set(counts.values())) > 1 for counts in dealt)
        assert uneven == (scope == "batch")  # the others choose among whole groups

    asyncio.run(train())
    one, other = (TraceReader(tmp_path / name / "trace.jsonl") for name in ("whole", "killed"))
    for before, after in zip(one, other, strict=True):
        assert before.round == after.round
        np.testing.assert_array_equal(before.counts, after.counts)
        np.testing.assert_array_equal(before.successes, after.successes)


def test_a_longer_training_goes_on(tmp_path: Path) -> None:
    async def train() -> None:
        await steps(await datasets(setup(tmp_path)), 0, 3)
        checkpoint(tmp_path, 3)
        longer = await datasets(setup(tmp_path, num_epochs=2))
        assert longer.allocator.metrics()["budget_remaining"] == 48
        await steps(longer, 3, 6)
        assert longer.allocator.metrics()["budget_remaining"] == 0
        assert longer.allocator.exposure().sum() == 96

    asyncio.run(train())


def test_other_successes_are_refused_or_begun_anew(tmp_path: Path) -> None:
    async def train() -> None:
        await steps(await datasets(setup(tmp_path)), 0, 3)
        checkpoint(tmp_path, 3)
        longer = setup(tmp_path, num_epochs=2)
        with pytest.raises(CheckpointError, match=r"success_threshold=1\.0 \(now 0\.5\)"):
            await datasets(longer, success_threshold=0.5)
        fresh = await datasets(longer, success_threshold=0.5, fresh_start=True)
        assert fresh.allocator.metrics()["budget_spent"] == 0

    asyncio.run(train())


def test_states_that_no_checkpoint_needs_are_dropped(tmp_path: Path) -> None:
    async def train() -> None:
        dataset = await datasets(setup(tmp_path, num_epochs=3, rolling_save_every=1, save_every=4))
        for step in range(9):
            await roll(dataset, step % 3, Policy(step))
            if (step + 1) % 4 == 0:
                checkpoint(tmp_path, step + 1)

    asyncio.run(train())
    left = sorted(path.stem for path in (tmp_path / "cero").glob("*.npz"))
    assert left == ["000004", "000008", "000009"]


def test_prompts_are_chosen_from_the_whole_dataset(tmp_path: Path) -> None:
    async def train() -> list[dict[tuple[int, ...], int]]:
        chosen = scripted([[4, 9, 3]], pool=[11, 0, 5])
        return await steps(await datasets(setup(tmp_path), allocator=chosen, scope="pool"), 0, 1)

    assert asyncio.run(train()) == [{tuple(prompt(11)): 4, tuple(prompt(0)): 9, tuple(prompt(5)): 3}]


def test_a_key_finds_a_prompt_in_several_batches(tmp_path: Path) -> None:
    batch = list(Dataset().get_batch(0))
    builder = OfBuilder(made=[batch[:2], [batch[1], batch[1], batch[2]], batch[2:]])

    async def train() -> None:
        options = {"key": lambda builder: str(builder.env_thunk().row), "allocator": "uniform"}
        dataset = await datasets(setup(tmp_path, dataset_builder=builder), **options)
        assert dataset.allocator.config.num_prompts == 4
        dealt = await steps(dataset, 0, 3)
        assert [sum(counts.values()) for counts in dealt] == [8, 12, 8]  # as without an allocator
        assert dealt[1] == {tuple(prompt(1)): 6, tuple(prompt(2)): 6}
        assert dataset.allocator.exposure().tolist() == [4, 10, 10, 4]

    asyncio.run(train())


def test_uniform_counts_are_the_datasets_own(tmp_path: Path) -> None:
    async def train() -> None:
        dataset = await datasets(setup(tmp_path), allocator="uniform")
        for index in range(3):
            groups = await roll(dataset, index, Policy(index))
            plain = await roll(Dataset(), index, Policy(index))
            assert list(map(question, groups)) == list(map(question, plain))
            assert [group.get_total_rewards() for group in groups] == [group.get_total_rewards() for group in plain]

    asyncio.run(train())


class Easy(Digits):
    """Even prompts are always right, odd ones by chance."""

    def reward(self, action: list[int]) -> float:
        return 1.0 if self.row % 2 == 0 else super().reward(action)


def test_what_is_known_moves_rollouts(tmp_path: Path) -> None:
    async def train() -> tuple[int, int]:
        dataset = await datasets(setup(tmp_path, dataset_builder=Builder(kind=Easy), num_epochs=8))
        await steps(dataset, 0, 24)
        exposure = dataset.allocator.exposure()
        return int(exposure[::2].sum()), int(exposure[1::2].sum())

    easy, open_ = asyncio.run(train())
    assert open_ > 1.5 * easy
