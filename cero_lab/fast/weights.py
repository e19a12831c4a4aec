"""The weights of the learner's model as one vector: its order, its views, and the way from and to transformers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch

from cero_api.errors import ConfigurationError


@dataclass(frozen=True)
class Shape:
    """Sizes of a model.

    Args:
        vocabulary: tokens.
        width: of the residual stream.
        mlp_width: of the hidden layer of each block.
        layers: blocks.
        heads: of the attention; each has its own keys and values.
        positions: longest sequence.
        epsilon: under the root of every norm.
        base: of the rotary wavelengths.
    """

    vocabulary: int
    width: int
    mlp_width: int
    layers: int
    heads: int
    positions: int = 64
    epsilon: float = 1e-6
    base: float = 10_000.0

    @classmethod
    def read(cls, folder: Path) -> Self:
        """From the `config.json` of a checkpoint folder, see `of`."""
        return cls.of(json.loads((folder / "config.json").read_text(encoding="utf-8")))

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """From the configuration of transformers' Llama.

        Raises:
            ConfigurationError: a Llama with parts that the learner's has not.
        """
        wanted = {
            "model_type": "llama",
            "hidden_act": "silu",
            "tie_word_embeddings": True,
            "attention_bias": False,
            "mlp_bias": False,
            "num_key_value_heads": config["num_attention_heads"],
            "head_dim": config["hidden_size"] // config["num_attention_heads"],
        }
        other = sorted(name for name, value in wanted.items() if config[name] != value)
        if other or config["rope_parameters"]["rope_type"] != "default":
            raise ConfigurationError(
                f"this is no model of the learner's kind ({', '.join(other) or 'rope_type'} differs); "
                "give one that cero_lab.model makes"
            )
        return cls(
            vocabulary=config["vocab_size"],
            width=config["hidden_size"],
            mlp_width=config["intermediate_size"],
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            positions=config["max_position_embeddings"],
            epsilon=config["rms_norm_eps"],
            base=config["rope_parameters"]["rope_theta"],
        )

    @property
    def depth(self) -> int:
        """Of one head."""
        return self.width // self.heads

    def parts(self) -> list[tuple[int, ...]]:
        """Shapes of the weights in their order within the vector: embedding, last norm, then layer by layer."""
        width, hidden = self.width, self.mlp_width
        layer = [(width,), (3 * width, width), (width, width), (width,), (2 * hidden, width), (width, hidden)]
        return [(self.vocabulary, width), (width,), *layer * self.layers]


class Layer(NamedTuple):
    """Weights of one block; queries, keys and values are one matrix, and so are gate and up."""

    norm: torch.Tensor
    qkv: torch.Tensor
    out: torch.Tensor
    mlp_norm: torch.Tensor
    gate_up: torch.Tensor
    down: torch.Tensor


class Weights(NamedTuple):
    """Views of the vector, by name."""

    embedding: torch.Tensor
    norm: torch.Tensor
    layers: tuple[Layer, ...]


def weights_of(vector: torch.Tensor, shape: Shape) -> Weights:
    """Views of a vector, through which gradients reach it."""
    parts = shape.parts()
    views = [part.view(size) for part, size in zip(vector.split([math.prod(p) for p in parts]), parts, strict=True)]
    layers = zip(*[iter(views[2:])] * len(Layer._fields), strict=True)
    return Weights(views[0], views[1], tuple(map(Layer._make, layers)))


def joined(state: Mapping[str, torch.Tensor], shape: Shape) -> torch.Tensor:
    """The vector of a state dict of transformers' Llama."""
    state = {name.removeprefix("model."): value for name, value in state.items()}
    parts = [state["embed_tokens.weight"], state["norm.weight"]]
    for index in range(shape.layers):
        name = f"layers.{index}."
        queries, keys, values = (state[f"{name}self_attn.{part}_proj.weight"] for part in "qkv")
        parts += [
            state[f"{name}input_layernorm.weight"],
            torch.cat([_paired(queries, shape), _paired(keys, shape), values]),
            state[f"{name}self_attn.o_proj.weight"],
            state[f"{name}post_attention_layernorm.weight"],
            torch.cat([state[f"{name}mlp.gate_proj.weight"], state[f"{name}mlp.up_proj.weight"]]),
            state[f"{name}mlp.down_proj.weight"],
        ]
    return torch.cat([part.float().flatten() for part in parts])


def parted(vector: torch.Tensor, shape: Shape) -> dict[str, torch.Tensor]:
    """The inverse of `joined`: a state dict for transformers' Llama, without the head, which is the embedding."""
    weights = weights_of(vector.detach(), shape)
    state = {"model.embed_tokens.weight": weights.embedding, "model.norm.weight": weights.norm}
    for index, layer in enumerate(weights.layers):
        name = f"model.layers.{index}."
        queries, keys, values = layer.qkv.chunk(3)
        gate, up = layer.gate_up.chunk(2)
        state |= {
            f"{name}input_layernorm.weight": layer.norm,
            f"{name}self_attn.q_proj.weight": _unpaired(queries, shape),
            f"{name}self_attn.k_proj.weight": _unpaired(keys, shape),
            f"{name}self_attn.v_proj.weight": values,
            f"{name}self_attn.o_proj.weight": layer.out,
            f"{name}post_attention_layernorm.weight": layer.mlp_norm,
            f"{name}mlp.gate_proj.weight": gate,
            f"{name}mlp.up_proj.weight": up,
            f"{name}mlp.down_proj.weight": layer.down,
        }
    return {name: value.detach().clone() for name, value in state.items()}


def _paired(rows: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Rows of queries or keys, from halves of a head that turn together to pairs that do."""
    return rows.view(shape.heads, 2, shape.depth // 2, -1).transpose(1, 2).reshape(rows.shape)


def _unpaired(rows: torch.Tensor, shape: Shape) -> torch.Tensor:
    return rows.view(shape.heads, shape.depth // 2, 2, -1).transpose(1, 2).reshape(rows.shape)
