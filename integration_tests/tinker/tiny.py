"""All that a real training needs, made on the spot: prompts, an environment that rewards digits, a configuration."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import chz
import numpy as np
import tinker
from numpy.typing import NDArray
from tinker_cookbook.completers import TokensWithLogprobs
from tinker_cookbook.rl import train
from tinker_cookbook.rl.problem_env import ProblemGroupBuilder
from tinker_cookbook.rl.rollouts import do_group_rollout
from tinker_cookbook.rl.types import Env, EnvGroupBuilder, RLDataset, RLDatasetBuilder, StepResult, TrajectoryGroup

import cero_tinker
from cero_api import RolloutOutcomes, UniformAllocator, UniformConfig, register_allocator

ALPHABET = "0123456789abcdef+="
EOS = 1
LORA_RANK = 4
BATCHES, PROMPTS, GROUP = 3, 4, 4
"""Batches of the dataset, prompts of a batch, rollouts of a prompt: 16 rollouts a step."""
TOTAL = PROMPTS * GROUP


def tokens(text: str) -> list[int]:
    return [ALPHABET.index(character) + 2 for character in text]


def prompt(row: int) -> list[int]:
    return tokens(f"{row:x}+{row % 3}=")


class Digits(Env):
    """One answer to one prompt, worth 1 if it begins with a digit; its share of digits is a metric."""

    def __init__(self, row: int) -> None:
        self.row = row

    def get_question(self) -> str:
        return f"{self.row:x}+{self.row % 3}="

    async def initial_observation(self) -> tuple[Any, list[int]]:
        return tinker.ModelInput.from_ints(prompt(self.row)), [EOS]

    async def step(self, action: list[int], *, extra: Any = None) -> StepResult:
        digit = [2 <= token < 12 for token in action]
        return StepResult(
            reward=self.reward(action),
            episode_done=True,
            next_observation=tinker.ModelInput.empty(),
            next_stop_condition=[EOS],
            metrics={"share": sum(digit) / len(digit)},
        )

    def reward(self, action: list[int]) -> float:
        return float(2 <= action[0] < 12)


class Dataset(RLDataset):
    def __init__(self, kind: Any = Digits, batches: int = BATCHES, group: int = GROUP) -> None:
        self.kind, self.batches, self.group = kind, batches, group

    def get_batch(self, index: int) -> Sequence[EnvGroupBuilder]:
        rows = range(PROMPTS * index, PROMPTS * (index + 1))
        return [ProblemGroupBuilder(functools.partial(self.kind, row), self.group, "digits") for row in rows]

    def __len__(self) -> int:
        return self.batches


@chz.chz
class Builder(RLDatasetBuilder):
    kind: type[Env] = Digits
    batches: int = BATCHES
    group: int = GROUP

    async def __call__(self) -> tuple[RLDataset, RLDataset | None]:
        return Dataset(self.kind, self.batches, self.group), None


def config(folder: Path, url: str, model: str, **changes: Any) -> train.Config:
    """A step of 16 rollouts, at a learning rate that moves the tiny model, and no evaluation."""
    settings: dict[str, Any] = {
        "learning_rate": 3e-2,
        "dataset_builder": Builder(),
        "model_name": model,
        "recipe_name": "cero",
        "max_tokens": 6,
        "log_path": str(folder),
        "base_url": url,
        "eval_every": 0,
        "save_every": 0,
        "lora_rank": LORA_RANK,
        "num_groups_to_log": 0,
    }
    return train.Config(**{**settings, **changes})


class ScriptedConfig(UniformConfig):
    script: tuple[tuple[int, ...], ...] = ()
    pool: tuple[int, ...] = ()


class Scripted(UniformAllocator):
    """Deals given counts in turn, over the candidates or over the rows of `pool`, and remembers what it was told.

    The books are the uniform allocator's own, so that a wrong round, prompt or number of outcomes is refused.
    """

    def __init__(self, config: ScriptedConfig) -> None:
        super().__init__(config)
        self.script, self.pool = config.script, config.pool
        self.asked: list[list[int] | None] = []
        self.observed: list[RolloutOutcomes] = []

    def _check_request(self, rows: NDArray[np.int64] | None, total: int | None) -> None:
        pass

    def _deal(self, rows: NDArray[np.int64] | None, total: int | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        counts = np.array(self.script[len(self.asked) % len(self.script)], dtype=np.int64)
        self.asked.append(None if rows is None else [int(row) for row in rows])
        return np.array(self.pool[: len(counts)], dtype=np.int64) if rows is None else rows, counts

    def observe(self, outcomes: RolloutOutcomes) -> None:
        self.observed.append(outcomes)
        super().observe(outcomes)


register_allocator("scripted", Scripted, ScriptedConfig)


def scripted(script: Sequence[Sequence[int]], pool: Sequence[int] = (), *, rounds: int = BATCHES) -> Scripted:
    counts = tuple(map(tuple, script))
    config = ScriptedConfig(num_prompts=12, rounds=rounds, budget=TOTAL * rounds, script=counts, pool=tuple(pool))
    return Scripted(config)


class Watched:
    """What every training batch was made of: for each rollout its prompt, its answer and its advantage.

    Args:
        monkeypatch: pytest's.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.batches: list[list[tuple[tuple[int, ...], tuple[int, ...], float]]] = []
        send = tinker.TrainingClient.forward_backward

        def forward_backward(client: Any, data: Any, *args: Any, **kwargs: Any) -> Any:
            self.batches.append([self._read(datum) for datum in data])
            return send(client, data, *args, **kwargs)

        monkeypatch.setattr(tinker.TrainingClient, "forward_backward", forward_backward)

    @staticmethod
    def _read(datum: Any) -> tuple[tuple[int, ...], tuple[int, ...], float]:
        first = list(datum.model_input.to_ints())
        whole = [*first, datum.loss_fn_inputs["target_tokens"].data[-1]]
        length = whole.index(tokens("=")[0]) + 1
        advantages = datum.loss_fn_inputs["advantages"].data
        return tuple(whole[:length]), tuple(whole[length:]), float(advantages[-1])


class Policy:
    """Answers at random, of four characters; the k-th answer to a prompt is always the same."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self.asked: Counter[tuple[int, ...]] = Counter()

    async def __call__(self, observation: Any, stop: Any) -> TokensWithLogprobs:
        question = tuple(observation.to_ints())
        self.asked[question] += 1
        answer = np.random.default_rng([self.seed, self.asked[question], *question]).integers(2, 20, size=4)
        return TokensWithLogprobs(tokens=answer.tolist(), maybe_logprobs=[-1.0] * 4)


async def datasets(setup: train.Config, **options: Any) -> Any:
    """The dataset that the cookbook's loop would get."""
    dataset, _ = await (await cero_tinker.allocated(setup, **{"scope": "batch", **options})).dataset_builder()
    return dataset


async def roll(dataset: Any, index: int, policy: Any, **options: Any) -> list[Any]:
    """One step's groups as the cookbook rolls them out, without a server."""

    async def group(builder: Any) -> TrajectoryGroup | None:
        strategy = options.get("strategy")
        try:
            return await do_group_rollout(builder, policy, **options)
        except Exception:
            if strategy is None or not strategy.catches_group_errors:  # as in the cookbook's loops
                raise
            return None

    return [await group(builder) for builder in dataset.get_batch(index)]
