"""The smallest language model that trains: a Llama of one layer over single characters, made on the spot."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def make_tokenizer(alphabet: str) -> PreTrainedTokenizerFast:
    """One token for each character, after padding (0) and the end (1)."""
    vocabulary = {token: i for i, token in enumerate(["<pad>", "<eos>", *alphabet])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    core.decoder = decoders.Fuse()
    names = ["input_ids", "attention_mask"]  # a Llama takes no token types, which transformers 4 would give it
    return PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="<eos>", padding_side="left", model_input_names=names
    )


def make_model(alphabet: str, seed: int = 0, *, hidden_size: int = 16, positions: int = 32) -> LlamaForCausalLM:
    """Random weights, the same for the same seed."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(alphabet) + 2,
            hidden_size=hidden_size,
            intermediate_size=max(hidden_size, 32),
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=positions,
            pad_token_id=0,
            bos_token_id=None,
            eos_token_id=1,
        )
    )


class Passes:
    """What comes after each sequence, in a pass of the model of its own; with TINY_TOGETHER, of all that wait by then.

    A pass for many is several times faster, and its numbers differ in the last digits by who else is in it.

    Args:
        model: causal, so that what pads a row on the right is seen by nobody.
    """

    def __init__(self, model: Any) -> None:
        self._model, self._together = model, "TINY_TOGETHER" in os.environ
        self._waiting: list[tuple[Sequence[int], asyncio.Future[torch.Tensor]]] = []

    async def logits(self, ids: Sequence[int]) -> torch.Tensor:
        """Of the next token, float32 `[vocabulary]`."""
        if not self._together:
            return self._pass([ids])[0]
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._answer)
        answer: asyncio.Future[torch.Tensor] = loop.create_future()
        self._waiting.append((ids, answer))
        return await answer

    def _answer(self) -> None:
        asked, self._waiting = self._waiting, []
        for row, (_, answer) in zip(self._pass([ids for ids, _ in asked]), asked, strict=True):
            if not answer.done():  # nobody gave up waiting
                answer.set_result(row)

    @torch.no_grad()
    def _pass(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        ends = torch.tensor([len(row) - 1 for row in rows])
        width = int(ends.max()) + 1
        tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
        return self._model(tokens).logits[torch.arange(len(rows)), ends].float()
