"""A pilot in TRL: two generations in a step, of constant rows, one group a prompt and one round in every book."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest
import torch
import transformers
from datasets import Dataset
from numpy.typing import NDArray
from packaging.version import Version

from cero_api import group_advantages
from cero_api.trace import TraceReader
from cero_trl import CeroGRPOTrainer
from integration_tests.tiny_model import make_model
from integration_tests.trl import tiny
from integration_tests.trl.test_vllm_server import with_server

# 16 rollouts a round, 8 a prompt at uniform counts: the pilot is 2 for each of four prompts, the rest is 8 more.
SIZES: dict[str, Any] = {"per_device_train_batch_size": 16, "num_generations": 8}
PILOT: dict[str, Any] = {"scope": "window", "allocator_config": {"pilot": 2, "belief": "pooled"}}
NO_TOOLS = Version(transformers.__version__) < Version("5.13")


def made(folder: Path, rewards: Any = None, *, args: dict[str, Any] | None = None, **options: Any) -> Any:
    options = {"train_dataset": tiny.dataset(48), **PILOT, **options}
    return tiny.trainer(folder, rewards or mixed, args={**SIZES, "max_steps": 4, **(args or {})}, **options)


def trained(folder: Path, rewards: Any = None, resume: Path | None = None, **options: Any) -> Any:
    trainer = made(folder, rewards, **options)
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer


def mixed(completions: list[str], row: list[int], **_: Any) -> list[float]:
    """Every third prompt is hopeless, every third solved, and the others come out either way."""
    return [
        (0.0, 1.0, float(sum(map(ord, text)) % 2))[number % 3] for number, text in zip(row, completions, strict=True)
    ]


def rows_of(trainer: Any, batch: dict[str, torch.Tensor]) -> NDArray[np.int64]:
    """Which prompt each row of a batch is of, by its text."""
    prompts = list(trainer.train_dataset["prompt"])
    texts = trainer.processing_class.batch_decode(batch["prompt_ids"], skip_special_tokens=True)
    return np.array([prompts.index(text) for text in texts])


def rounds_of(trainer: Any) -> list[Any]:
    return [
        (r.round, r.prompt_ids.tolist(), r.counts.tolist(), r.successes.tolist(), r.tokens.tolist(), r.rollouts_so_far)
        for r in trainer.records
    ]


def test_the_rest_goes_to_those_that_came_out_either_way(tmp_path: Path) -> None:
    trainer = trained(tmp_path, args={"max_steps": 8})
    decided = 0
    for record, pilot in zip(trainer.records, trainer.rewards[::2], strict=True):
        assert sorted(record.counts.tolist()) == [2, 2, 4, 8]  # a full group, what was left of the round, pilots
        first, second = pilot.view(4, 2).T
        mixed = (first != second).numpy()
        if mixed.any() and not mixed.all():
            assert record.counts[mixed].min() >= record.counts[~mixed].max() or mixed.sum() > 2
            decided += 1
    assert decided >= 3
    assert trainer.allocator.metrics()["budget_remaining"] == 0
    assert trainer.allocator.metrics()["round"] == 8


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scope": "batch"},
        {"allocator": "pilot_commit", "allocator_config": None},
        {"allocator": "vip", "args": {"scale_rewards": "none"}},
        {"prompt_weight": "prompt"},
        {"args": {"steps_per_generation": 2, "per_device_train_batch_size": 8, "num_iterations": 2}},
    ],
)
def test_all_rollouts_of_a_prompt_are_one_group(tmp_path: Path, options: dict[str, Any]) -> None:
    """Advantages against those of an independent computation, by the prompts that were tokenized and the rewards."""
    trainer = trained(tmp_path, **options)
    estimator: Any = "dr_grpo" if trainer.scale_rewards == "none" else "grpo"
    weight = trainer.cero_config.prompt_weight
    waves = list(zip(trainer.rewards[::2], trainer.rewards[1::2], strict=True))
    assert len(waves) == len(trainer.batches) == len(trainer.records)
    uneven = False
    for batch, parts, record in zip(trainer.batches, waves, trainer.records, strict=True):
        rows, rewards = rows_of(trainer, batch), torch.cat(parts)[:, 0].double().numpy()
        assert [len(part) for part in parts] == [
            record.counts.size * trainer.allocator.config.pilot,
            16 - len(parts[0]),
        ]
        assert batch["advantages"].shape == (16,)
        expected = group_advantages(rewards, rows, estimator=estimator, prompt_weight=weight)
        np.testing.assert_allclose(batch["advantages"].numpy(), expected, rtol=1e-3, atol=1e-3)
        for prompt, count, won, tokens in zip(
            record.prompt_ids, record.counts, record.successes, record.tokens, strict=True
        ):
            assert (rows == prompt).sum() == count
            assert rewards[rows == prompt].sum() == won
            assert batch["completion_mask"][torch.as_tensor(rows == prompt)].sum() == tokens
        uneven |= len(set(record.counts.tolist())) > 1
    assert uneven


def test_logs_trace_and_completions_have_both_waves_as_one_round(tmp_path: Path) -> None:
    def judge(completions: list[str], log_extra: Any, log_metric: Any, row: list[int], **_: Any) -> list[float]:
        sizes.append(len(row))
        log_extra("row", row)
        if len(sizes) % 2:
            log_extra("pilot", [True] * len(row))
        log_metric("seen", float(len(row)))
        return mixed(completions, row)

    sizes: list[int] = []
    trace = tmp_path / "trace.jsonl"
    options = {"log_completions": True, "max_steps": 2, "num_completions_to_print": 0}
    trainer = trained(tmp_path, judge, args=options, trace=trace, allocator_config={**PILOT["allocator_config"]})
    assert sizes == [8, 8] * 2
    for step, (batch, record) in enumerate(zip(trainer.batches, trainer.records, strict=True)):
        log = trainer.state.log_history[step]
        assert log["seen"] == 8.0
        assert log["cero/count_max"] == record.counts.max() > record.counts.min()
        lengths = batch["completion_mask"].sum(dim=1).float()
        ended = (batch["completion_ids"] == trainer.processing_class.eos_token_id).any(dim=1)
        assert log["completions/mean_length"] == pytest.approx(lengths.mean().item())
        assert log["completions/min_length"] == lengths.min()
        assert log["completions/max_length"] == lengths.max()
        assert log["completions/clipped_ratio"] == pytest.approx(1 - ended.float().mean().item())
        if ended.any():
            assert log["completions/mean_terminated_length"] == pytest.approx(lengths[ended].mean().item(), rel=1e-6)
            assert log["completions/min_terminated_length"] == lengths[ended].min()
        path = tmp_path / "completions" / f"completions_{step + 1:05d}.parquet"
        table = pyarrow.parquet.read_table(path).to_pydict()
        assert table["row"] == rows_of(trainer, batch).tolist()
        assert table["prompt"] == [trainer.train_dataset["prompt"][row] for row in table["row"]]
        assert table["advantage"] == pytest.approx(batch["advantages"].tolist())
        assert table["pilot"] == [True] * 8 + [None] * 8
    tokens = sum(int(batch["completion_mask"].sum() + batch["prompt_mask"].sum()) for batch in trainer.batches)
    assert trainer.state.log_history[1]["num_tokens"] == tokens
    told = list(TraceReader(trace))
    assert [(part.round, part.counts.tolist()) for part in told] == [
        (part.round, part.counts.tolist()) for part in trainer.records
    ]


HALVED = {"steps_per_generation": 2, "per_device_train_batch_size": 8}


@pytest.mark.parametrize("allocator", ["cero", "pilot_commit"])
@pytest.mark.parametrize(
    ("args", "step"),
    [({}, 2), (HALVED, 3), ({**HALVED, "num_iterations": 2}, 6), ({"gradient_accumulation_steps": 2}, 2)],
)
def test_resumed_equals_never_stopped(tmp_path: Path, args: dict[str, Any], step: int, allocator: str) -> None:
    options: dict[str, Any] = {"allocator": allocator, "allocator_config": {"pilot": 2}}
    saving = {"max_steps": 10, "save_strategy": "steps", "save_steps": step, **args}
    whole = trained(tmp_path / "whole", args=saving, **options)
    stopped = tmp_path / "whole" / f"checkpoint-{step}"
    rest = trained(tmp_path / "rest", None, stopped, args={**saving, "save_steps": 100}, **options)
    assert 0 < len(rest.records) < len(whole.records)
    assert rounds_of(rest) == rounds_of(whole)[-len(rest.records) :]
    assert (tiny.weights(rest) == tiny.weights(whole)).all()
    assert rest.allocator.metrics() == whole.allocator.metrics()
    assert tiny.history(rest, without=["train_loss"]) == tiny.history(whole, without=["train_loss"])


def test_a_pilot_without_a_reward_is_refunded(tmp_path: Path) -> None:
    calls: list[list[int]] = []

    def judge(completions: list[str], row: list[int], **_: Any) -> list[float | None]:
        calls.append(row)
        gone = calls[-1][2] if len(calls) == 1 else -1
        return [None if number == gone else won for number, won in zip(row, mixed(completions, row), strict=True)]

    trainer = trained(tmp_path, judge, args={"max_steps": 3})
    first = trainer.records[0]
    assert [record.counts.sum() for record in trainer.records] == [16] * 3
    assert first.counts[1] == 2  # what was lost says nothing, so nothing is committed
    assert first.successes[1] + first.failures[1] == 0
    assert trainer.allocator.metrics()["budget_remaining"] == 2
    assert trainer.allocator.exposure().sum() == 46


def test_a_reward_function_that_raises_in_one_wave(tmp_path: Path) -> None:
    calls: list[int] = []

    def judge(completions: list[str], row: list[int], **_: Any) -> list[float]:
        calls.append(len(row))
        if len(calls) > 2 and 5 in (len(row), *row):
            raise TimeoutError
        return mixed(completions, row)

    trainer = trained(tmp_path, judge, args={"max_steps": 6})
    assert [record.counts.sum() for record in trainer.records] == [16] * 6
    assert np.isfinite(tiny.weights(trainer)).all()


def test_a_training_that_is_interrupted_in_its_pilot_can_be_begun_again(tmp_path: Path) -> None:
    calls: list[int] = []

    def judge(completions: list[str], row: list[int], **_: Any) -> list[float]:
        calls.append(len(row))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return mixed(completions, row)

    trainer = made(tmp_path, judge)
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert trainer.allocator.metrics()["budget_spent"] == 16
    trainer.train()
    assert [record.round for record in trainer.records] == [0, 2, 3, 4, 5]
    assert [record.counts.sum() for record in trainer.records] == [16] * 5


def test_a_server_completes_each_wave(tmp_path: Path) -> None:
    trainer = made(tmp_path, args={"max_steps": 1})
    server = with_server(trainer)
    trainer.train()
    assert [(len(prompts), n) for prompts, n in server.requests] == [(8, 1), (8, 1)]
    sent = torch.tensor([prompt[0] for prompts, _ in server.requests for prompt in prompts])
    assert torch.equal(trainer.batches[0]["completion_ids"][:, 0], sent)
    assert trainer.batches[0]["sampling_per_token_logps"].shape[0] == 16


@pytest.mark.skipif(NO_TOOLS, reason="TRL's tools need a response template of transformers")
def test_tools_are_called_in_each_wave(tmp_path: Path) -> None:
    def look(where: str) -> str:
        """Look somewhere.

        Args:
            where: a place.
        """
        return "nothing here, nor " + where

    def odd(completions: list[Any], **_: Any) -> list[float]:
        return [float(len(turns) > 1) for turns in completions]

    tasks = Dataset.from_list([{"prompt": [{"role": "user", "content": f"task {i}: "}]} for i in range(48)])
    trainer = tiny.Calling(
        model=make_model(tiny.LETTERS, positions=2048),
        reward_funcs=odd,
        args=tiny.arguments(tmp_path, **SIZES, max_steps=2, max_completion_length=260, max_tool_calling_iterations=1),
        train_dataset=tasks,
        processing_class=tiny.chat_tokenizer(),
        tools=[look],
        **PILOT,
    )
    trainer.train()
    for step, (batch, record) in enumerate(zip(trainer.batches, trainer.records, strict=True)):
        assert [rewards[:, 0].tolist() for rewards in trainer.rewards[2 * step : 2 * step + 2]] == [[0, 1] * 4] * 2
        assert record.tokens.sum() == (batch["completion_mask"] * batch["tool_mask"]).sum()
        assert (batch["tool_mask"] == 0).any(dim=1).tolist() == [False, True] * 8
        log = trainer.state.log_history[step]
        assert (log["tools/call_frequency"], log["tools/failure_frequency"]) == (0.5, 0.0)


class Judged(tiny.Watching, CeroGRPOTrainer):
    """Overrides that work wave by wave, and what looks at a round after it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.generated: list[int] = []
        self.seen: list[list[int]] = []
        super().__init__(*args, **kwargs)

    def _generate(self, prompts: list[Any]) -> Any:
        self.generated.append(len(prompts))
        return super()._generate(prompts)

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> torch.Tensor:
        assert [row["prompt"] for row in inputs] == prompts
        assert len(completions) == len(completion_ids_list) == len(prompts)
        return 2 * super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        self.seen.append([row["row"] for row in inputs])
        output["advantages"] = output["advantages"] / 2
        return output


def of_kind(kind: type, folder: Path, **options: Any) -> Any:
    return kind(
        model=tiny.model(),
        reward_funcs=mixed,
        args=tiny.arguments(folder, **SIZES, max_steps=2),
        train_dataset=tiny.dataset(48),
        processing_class=tiny.tokenizer(),
        **{**PILOT, **options},
    )


def test_overrides_see_each_wave_and_the_whole_round(tmp_path: Path) -> None:
    trainer = of_kind(Judged, tmp_path, success_threshold=2.0)
    trainer.train()
    assert trainer.generated == [8, 8] * 2
    waves = zip(trainer.rewards[::2], trainer.rewards[1::2], strict=True)
    for batch, rows, parts in zip(trainer.batches, trainer.seen, waves, strict=True):
        assert rows == rows_of(trainer, batch).tolist()
        expected = group_advantages(2 * torch.cat(parts)[:, 0].double().numpy(), np.array(rows))
        np.testing.assert_allclose(batch["advantages"].numpy(), expected, rtol=1e-3, atol=1e-3)
    assert trainer.allocator.metrics()["budget_remaining"] == 0
    assert "_generate" not in vars(trainer)
