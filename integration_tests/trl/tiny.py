"""All that a real TRL training needs, made on the spot: a tiny Llama, its tokenizer, rewards, a script."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trl
from datasets import Dataset
from numpy.typing import NDArray
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from cero_api import RolloutOutcomes, UniformAllocator, UniformConfig
from cero_trl import CeroGRPOTrainer, RoundRecord
from integration_tests.tiny_model import make_model, make_tokenizer

ALPHABET = "0123456789abcdef+="
LETTERS = "".join(dict.fromkeys(string.printable))  # all that a chat and a tool's call are made of
CALL = '<tool_call>\n{"name": "look", "arguments": {"where": "there"}}\n</tool_call>'


def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer(ALPHABET)


def chat_tokenizer() -> PreTrainedTokenizerFast:
    """With a template in which tools can be called."""
    made = make_tokenizer(LETTERS)
    made.chat_template = (Path(trl.__file__).parent / "chat_templates" / "qwen3.jinja").read_text()
    return made


def model(seed: int = 0) -> LlamaForCausalLM:
    return make_model(ALPHABET, seed)


def dataset(num_prompts: int = 12) -> Dataset:
    return Dataset.from_dict(
        {"prompt": [f"{i:x}+{i % 3}=" for i in range(num_prompts)], "row": list(range(num_prompts))}
    )


def digits(completions: Sequence[str], **_: Any) -> list[float]:
    """Share of digits: graded, different for every completion, cheap."""
    return [sum(c.isdigit() for c in text) / max(len(text), 1) for text in completions]


def first_is_digit(completions: Sequence[str], **_: Any) -> list[float]:
    """Success or failure."""
    return [float(text[:1].isdigit()) for text in completions]


def last_is_digit(completions: Sequence[str], **_: Any) -> list[float | None]:
    """Success or failure; not applicable (None) to completions that begin with a digit."""
    return [None if text[:1].isdigit() else float(text[-1:].isdigit()) for text in completions]


def arguments(folder: Path, **changes: Any) -> GRPOConfig:
    """8 rollouts a round, 4 a prompt at uniform counts, no logging to anywhere."""
    settings: dict[str, Any] = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 3,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "bf16": False,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return GRPOConfig(**{**settings, **changes})


class Scripted(UniformAllocator):
    """Deals given counts in turn, over the candidates or over the rows of `pool`, and remembers its days.

    The books are the uniform allocator's own, so that a wrong round, prompt or number of outcomes is refused.
    """

    def __init__(
        self,
        script: Sequence[Sequence[int]],
        pool: Sequence[int] = (),
        *,
        num_prompts: int = 12,
        rounds: int = 3,
    ) -> None:
        super().__init__(UniformConfig(num_prompts=num_prompts, rounds=rounds, budget=8 * rounds))
        self.script, self.pool = script, pool
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


class Watching:
    """Keeps what a trainer, stock or ours, made of every training batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batches: list[dict[str, torch.Tensor]] = []
        self.rewards: list[torch.Tensor] = []
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, *args: Any) -> torch.Tensor:
        rewards: torch.Tensor = super()._calculate_rewards(*args)  # type: ignore[misc]  # a mixin
        if self.model.training:  # type: ignore[attr-defined]
            self.rewards.append(rewards.clone())
        return rewards

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]
        if self.model.training:  # type: ignore[attr-defined]
            kept = {key: value.clone() for key, value in output.items() if isinstance(value, torch.Tensor)}
            self.batches.append(kept)
        return output


class WatchedStock(Watching, GRPOTrainer):
    pass


class Watched(Watching, CeroGRPOTrainer):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.records: list[RoundRecord] = []
        super().__init__(*args, **{"on_round": self.records.append, **kwargs})


class Calling(Watched):
    """Calls the tool in the first turn of every other rollout of what is generated at once."""

    def _generate_single_turn(self, prompt_ids: Any, *args: Any, **kwargs: Any) -> Any:
        completion_ids, logprobs = super()._generate_single_turn(prompt_ids, *args, **kwargs)
        if len(prompt_ids) == 8:
            call = self.processing_class(CALL)["input_ids"]
            completion_ids = [call if i % 2 else ids for i, ids in enumerate(completion_ids)]
        return completion_ids, logprobs


def trainer(
    folder: Path,
    rewards: Callable[..., Any] | list[Any] = digits,
    *,
    stock: bool = False,
    args: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    kind = WatchedStock if stock else Watched
    if not stock:  # most of what is tested here is easiest to see where a loader's batch is shared out
        kwargs.setdefault("scope", "batch")
    return kind(
        model=kwargs.pop("model", None) or model(),
        reward_funcs=list(rewards) if isinstance(rewards, list) else rewards,
        args=arguments(folder, **(args or {})),
        train_dataset=kwargs.pop("train_dataset", None) or dataset(),
        processing_class=kwargs.pop("processing_class", None) or tokenizer(),
        **kwargs,
    )


def history(trained: Any, *, without: Sequence[str] = ("cero/",)) -> list[dict[str, float]]:
    """The trainer's log, less times and the given prefixes."""
    left_out = (
        *("step_time", "train_runtime", "train_samples_per_second", "train_steps_per_second"),
        *("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "cero/allocator_seconds"),
        *without,
    )
    log = trained.state.log_history
    return [{k: v for k, v in entry.items() if not k.startswith(left_out)} for entry in log]


def weights(trained: Any) -> NDArray[np.float32]:
    flat = [p.detach().flatten() for p in trained.model.parameters()]
    values: NDArray[np.float32] = torch.cat(flat).numpy()
    return values
