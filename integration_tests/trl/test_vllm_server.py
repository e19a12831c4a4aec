"""TRL's own vLLM client code, against a server that completes prompts in order: no group may get mixed up."""

from pathlib import Path
from typing import Any

import pytest
import torch
from trl.generation.vllm_generation import VLLMGeneration

from cero_api.errors import ConfigurationError
from integration_tests.trl import tiny


class Server:
    """Answers each request with its prompt's first token and a running number, so that order is visible."""

    def __init__(self) -> None:
        self.requests: list[tuple[list[list[int]], int]] = []

    def generate(self, prompts: list[list[int]], n: int, **_: Any) -> dict[str, Any]:
        self.requests.append((prompts, n))
        completions = [[prompt[0], 2 + k % 9] for k, prompt in enumerate(prompts) for _ in range(n)]
        return {
            "prompt_ids": prompts,
            "completion_ids": completions,
            "logprobs": [[[-1.0], [-1.0]] for _ in completions],
        }


def with_server(trainer: Any) -> Server:
    """Point a trainer's generation at a `Server`, through TRL's real client."""
    server = Server()
    generation = object.__new__(VLLMGeneration)
    generation.__dict__.update(
        accelerator=trainer.accelerator,
        mode="server",
        vllm_client=server,
        model=trainer.model,
        enable_sleep_mode=False,
        logprobs=0,
        generation_kwargs={},
        sync_weights=lambda: None,
        **dict.fromkeys(("repetition_penalty", "temperature", "top_p", "top_k", "min_p", "structured_outputs_regex")),
        max_completion_length=6,
    )
    trainer.use_vllm, trainer.vllm_generation = True, generation
    trainer.vllm_importance_sampling_correction = False
    trainer._last_loaded_step = -1
    return server


def test_every_dealt_row_is_one_request_of_its_own(tmp_path: Path) -> None:
    trainer = tiny.trainer(tmp_path, allocator=tiny.Scripted([[5, 3]]), args={"max_steps": 1})
    server = with_server(trainer)
    trainer.train()
    ((prompts, n),) = server.requests
    assert n == 1
    batch = trainer.batches[0]
    sent = torch.tensor([prompt[0] for prompt in prompts])
    assert len(set(sent.tolist())) == 2
    assert torch.equal(batch["completion_ids"][:, 0], sent)  # each row was completed from its own prompt
    assert torch.equal(batch["prompt_ids"][:, 0], sent)


def test_a_fixed_seed_is_refused(tmp_path: Path) -> None:
    options = {"use_vllm": True, "vllm_mode": "server", "generation_kwargs": {"seed": 1}}
    with pytest.raises(ConfigurationError, match="leave the seed out"):
        tiny.trainer(tmp_path, allocator="uniform", args=options)
