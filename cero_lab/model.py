"""A language model of about a million parameters and its character tokenizer, made on the spot."""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from cero_lab.settings import ModelSettings
from cero_lab.vocabulary import EOS, EOS_ID, PAD, PAD_ID, VOCABULARY


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer: one token a character, plus padding and end of sequence.

    Returns:
        A left-padding fast tokenizer that needs no files.
    """
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=PAD, eos_token=EOS, padding_side="left")


def make_model(settings: ModelSettings, seed: int) -> LlamaForCausalLM:
    """Build the untrained model.

    Args:
        settings: Its size.
        seed: Seed of the initial weights.

    Returns:
        A small Llama on the CPU.
    """
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(VOCABULARY),
            hidden_size=settings.width,
            intermediate_size=settings.mlp_width,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.heads,
            max_position_embeddings=64,
            tie_word_embeddings=True,
            pad_token_id=PAD_ID,
            bos_token_id=None,
            eos_token_id=EOS_ID,
        )
    )
