"""The smallest language model that trains: a Llama of one layer over single characters, made on the spot."""

from __future__ import annotations

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
