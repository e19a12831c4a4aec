"""What becomes of a group: its size, its rewards as successes, and everything that can go wrong with a rollout."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import chz
import numpy as np
import pytest
from tinker_cookbook.rl.problem_env import ProblemGroupBuilder
from tinker_cookbook.rl.rollout_limits import TerminationRewardPolicy
from tinker_cookbook.rl.rollout_strategy import MinViableGroup
from tinker_cookbook.rl.rollouts import do_group_rollout
from tinker_cookbook.rl.types import EnvGroupBuilder
from tinker_cookbook.utils.ml_log import dump_config

import cero_tinker
from cero_api.errors import ConfigurationError
from cero_tinker.counts import resized
from integration_tests.tinker.tiny import Builder, Dataset, Digits, Policy, config, datasets, roll, scripted

SCRIPT = [[2, 6, 3, 5]]


def setup(folder: Path, kind: type[Digits] = Digits, **changes: Any) -> Any:
    return config(folder, "http://127.0.0.1:1", "none", dataset_builder=Builder(kind=kind), **changes)


@dataclasses.dataclass
class Plain(EnvGroupBuilder):
    num_envs: int

    async def make_envs(self) -> list[Digits]:
        return [Digits(0) for _ in range(self.num_envs)]


@chz.chz
class Chz(EnvGroupBuilder):
    group_size: int

    async def make_envs(self) -> list[Digits]:
        return [Digits(0) for _ in range(self.group_size)]


class Bare(EnvGroupBuilder):
    def __init__(self, group_size: int) -> None:
        self.group_size = group_size

    async def make_envs(self) -> list[Digits]:
        return [Digits(0) for _ in range(self.group_size)]


@pytest.mark.parametrize("builder", [ProblemGroupBuilder(lambda: Digits(0), 4), Plain(4), Chz(group_size=4), Bare(4)])
@pytest.mark.parametrize("count", [1, 4, 7])
def test_a_builder_of_any_make_is_resized_and_left_as_it_was(builder: Any, count: int) -> None:
    assert len(asyncio.run(resized(builder, count).make_envs())) == count
    assert len(asyncio.run(builder.make_envs())) == 4


class Even(Plain):
    async def make_envs(self) -> list[Digits]:
        return [Digits(0) for _ in range(self.num_envs // 2 * 2)]


def even(folder: Path) -> Any:
    class Evens(Dataset):
        def get_batch(self, index: int) -> list[EnvGroupBuilder]:
            return [Even(4) for _ in range(4)]

    @chz.chz
    class EvenBuilder(Builder):
        async def __call__(self) -> Any:
            return Evens(), None

    return config(folder, "http://127.0.0.1:1", "none", dataset_builder=EvenBuilder())


def test_a_builder_that_makes_another_number_ends_the_training_even_where_errors_are_tolerated(tmp_path: Path) -> None:
    async def train() -> None:
        dataset = await datasets(even(tmp_path), allocator=scripted(SCRIPT))
        await roll(dataset, 0, Policy(), strategy=MinViableGroup())
        with pytest.raises(ConfigurationError, match=r"2 environments where 3 were dealt.*rollouts_per_unit"):
            dataset.get_batch(1)

    asyncio.run(train())


def test_units_keep_to_what_a_builder_can_make(tmp_path: Path) -> None:
    async def train() -> None:
        dataset = await datasets(even(tmp_path), allocator_config={"rollouts_per_unit": 2})
        for index in range(3):
            await roll(dataset, index, Policy())
        assert dataset.allocator.metrics()["budget_spent"] == 48

    asyncio.run(train())


class Failing(Digits):
    """One answer in three cannot be judged, and nothing of prompt 3 can."""

    async def step(self, action: list[int], *, extra: Any = None) -> Any:
        if action[0] % 3 == 0 or self.row == 3:
            raise RuntimeError("the sandbox is gone")
        return await super().step(action, extra=extra)


def test_rollouts_and_groups_that_fail_are_left_out(tmp_path: Path) -> None:
    rounds: list[Any] = []

    async def train() -> list[Any]:
        dataset = await datasets(setup(tmp_path, Failing), allocator=scripted([[4, 4, 4, 4]]), on_round=rounds.append)
        return await roll(dataset, 0, Policy(5), strategy=MinViableGroup(min_successful=1, max_retries=0))

    groups = asyncio.run(train())
    sizes = [0 if group is None else len(group.trajectories_G) for group in groups]
    assert sizes[3] == 0
    assert min(sizes[:3]) < 4  # some were lost, or the test shows nothing
    (record,) = rounds
    assert (record.successes + record.failures).tolist() == sizes
    assert record.counts.tolist() == [4, 4, 4, 4]


class Odd(Digits):
    """Rewards that are none."""

    def reward(self, action: list[int]) -> float:
        return [math.nan, math.inf, 1.0, 0.0][action[0] % 4]


def test_no_reward_ends_a_training(tmp_path: Path) -> None:
    rounds: list[Any] = []

    async def train() -> dict[str, float]:
        dataset = await datasets(setup(tmp_path, Odd), allocator=scripted(SCRIPT), on_round=rounds.append)
        groups = await roll(dataset, 0, Policy())
        return groups[0].metrics_G[0]

    numbers = asyncio.run(train())
    (record,) = rounds
    missing = 16 - (record.successes + record.failures).sum()
    assert 0 < missing < 16
    assert numbers["cero/rewards_missing"] == missing


def test_a_metric_judges_in_place_of_the_reward(tmp_path: Path) -> None:
    rounds: list[Any] = []

    async def train() -> list[Any]:
        dataset = await datasets(
            setup(tmp_path),
            allocator=scripted(SCRIPT),
            success_metric="share",
            reward_range=(0.0, 1.0),
            on_round=rounds.append,
        )
        return await roll(dataset, 0, Policy())

    groups = asyncio.run(train())
    shares = [sum(t.transitions[0].metrics["share"] for t in group.trajectories_G) for group in groups]
    np.testing.assert_allclose(rounds[0].successes, shares)
    assert rounds[0].squares.sum() < rounds[0].successes.sum()  # graded, not whole


class Limited(Digits):
    """Every second answer hits a limit, whatever it is worth."""

    async def step(self, action: list[int], *, extra: Any = None) -> Any:
        result = await super().step(action, extra=extra)
        if action[1] % 2:
            result.metrics["stop/max_tokens"] = 1.0
        return result


@pytest.mark.parametrize("zero", [True, False])
def test_success_is_judged_by_the_reward_that_is_trained_on(tmp_path: Path, zero: bool) -> None:
    policy, rounds = TerminationRewardPolicy(zero_reward_on_limit=zero), list[Any]()

    async def train() -> list[Any]:
        dataset = await datasets(
            setup(tmp_path, Limited, termination=policy), allocator=scripted(SCRIPT), on_round=rounds.append
        )
        return await roll(dataset, 0, Policy(), termination=policy)

    groups = asyncio.run(train())
    assert rounds[0].successes.tolist() == [sum(group.get_total_rewards()) for group in groups]


def test_groups_in_threads_are_as_good_and_other_processes_are_refused(tmp_path: Path) -> None:
    async def train() -> tuple[float, int]:
        dataset = await datasets(setup(tmp_path), allocator=scripted(SCRIPT))
        builders = dataset.get_batch(0)
        with pytest.raises(ConfigurationError, match="ThreadPoolExecutor"):
            pickle.dumps(builders[0])
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(4) as executor:
            await asyncio.gather(*(loop.run_in_executor(executor, _alone, builder) for builder in builders))
        return float(dataset.allocator.metrics()["round"]), len(dataset.allocator.observed)

    assert asyncio.run(train()) == (1.0, 1)


def _alone(builder: Any) -> None:
    asyncio.run(do_group_rollout(builder, Policy()))


def test_what_the_cookbook_logs_of_its_configuration_is_short(tmp_path: Path) -> None:
    made = asyncio.run(cero_tinker.allocated(setup(tmp_path), allocator="uniform"))
    told = dump_config(made)["dataset_builder"]["prepared"]
    assert json.loads(json.dumps(told))["allocator"] == "uniform"
