"""Everything a real TRL training needs, made on the spot: a Llama of 3,000 weights, tokenizer, rewards, scripts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from numpy.typing import ArrayLike, NDArray
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import GRPOConfig, GRPOTrainer

from cero_api import Allocation, RolloutOutcomes
from cero_trl import CeroGRPOTrainer, RoundRecord

ALPHABET = "0123456789abcdef+="


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *ALPHABET])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    core.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left"
    )


def model(seed: int = 0) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(ALPHABET) + 2,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=32,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=1,
        )
    )


def dataset(num_prompts: int = 12) -> Dataset:
    return Dataset.from_dict(
        {"prompt": [f"{i:x}+{i % 3}=" for i in range(num_prompts)], "row": list(range(num_prompts))}
    )


def digits(completions: Sequence[str], **_: Any) -> list[float]:
    """Share of digits: graded, different for every completion, cheap."""
    return [sum(c.isdigit() for c in text) / max(len(text), 1) for text in completions]


def first_is_digit(completions: Sequence[str], **_: Any) -> list[float | None]:
    """Success or failure; not applicable (None) to an empty completion."""
    return [float(text[0].isdigit()) if text else None for text in completions]


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
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "seed": 3,
    }
    return GRPOConfig(**{**settings, **changes})


class Scripted:
    """An allocator that deals given counts in turn and remembers what it was told."""

    def __init__(self, script: Sequence[Sequence[int]], pool: Sequence[int] | None = None) -> None:
        self.script = [list(counts) for counts in script]
        self.pool = pool
        self.asked: list[list[int]] = []
        self.observed: list[RolloutOutcomes] = []

    def allocate(self, row_ids: ArrayLike | None = None, total: int | None = None) -> Allocation:
        rows = np.asarray(self.pool if row_ids is None else row_ids, dtype=np.int64)
        counts = np.array(self.script[len(self.asked) % len(self.script)], dtype=np.int64)
        self.asked.append([int(row) for row in rows])
        return Allocation(round=len(self.asked) - 1, prompt_ids=rows[: len(counts)], counts=counts)

    def observe(self, outcomes: RolloutOutcomes) -> None:
        self.observed.append(outcomes)

    def metrics(self) -> dict[str, float]:
        return {"round": float(len(self.asked))}

    def state_dict(self) -> dict[str, Any]:
        return {"asked": self.asked}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.asked = state["asked"]


class Watched(CeroGRPOTrainer):
    """Keeps what the trainer made of every generation batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batches: list[dict[str, Any]] = []
        self.dealt_rows: list[list[dict[str, Any]]] = []
        self.records: list[RoundRecord] = []
        super().__init__(*args, on_round=self.records.append, **kwargs)

    def _rows_of_this_rank(self, dealt: Any) -> list[dict[str, Any]]:
        self.dealt_rows.append(super()._rows_of_this_rank(dealt))
        return self.dealt_rows[-1]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output = super()._generate_and_score_completions(inputs)
        kept = {key: value.clone() for key, value in output.items() if isinstance(value, torch.Tensor)}
        self.batches.append(kept)
        return output


def trainer(
    folder: Path,
    rewards: Callable[..., Any] | list[Callable[..., Any]] = digits,
    *,
    stock: bool = False,
    args: dict[str, Any] | None = None,
    **kwargs: Any,
) -> Any:
    kind = GRPOTrainer if stock else kwargs.pop("kind", Watched)
    return kind(
        model=kwargs.pop("model", None) or model(),
        reward_funcs=list(rewards) if isinstance(rewards, list) else rewards,
        args=arguments(folder, **(args or {})),
        train_dataset=kwargs.pop("train_dataset", None) or dataset(),
        processing_class=tokenizer(),
        **kwargs,
    )


def losses(trained: Any) -> list[float]:
    return [entry["loss"] for entry in trained.state.log_history if "loss" in entry]


def weights(trained: Any) -> NDArray[np.float32]:
    flat = [p.detach().flatten() for p in trained.model.parameters()]
    values: NDArray[np.float32] = torch.cat(flat).numpy()
    return values
