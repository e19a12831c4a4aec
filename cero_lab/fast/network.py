"""The learner's model with its weights in one vector: what transformers' Llama computes, in a fifth of the calls."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from cero_lab.fast.weights import Shape, Weights, joined, weights_of
from cero_lab.vocabulary import PAD_ID

# Of one layer: queries of some positions, then keys and values of the same, each [N, T, heads, depth]; the answer is
# what they attend to, [N * T, width].
Attend = Callable[[int, torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
# Of every layer, keys and values of what has been read, each [N, T, heads, depth].
Memory = list[tuple[torch.Tensor, torch.Tensor]]


class Network(torch.nn.Module):
    """A Llama for sequences of a few dozen tokens.

    All weights are one parameter, so that clipping and AdamW are a handful of calls. Within a head the two numbers that
    the rotary embedding turns together stand side by side: turning is then one complex product. Both orders give the
    same model, since queries and keys are reordered alike, and every step of AdamW is by element.

    Args:
        shape: its sizes.
        vector: float32 `[size]`, the weights.
    """

    def __init__(self, shape: Shape, vector: torch.Tensor) -> None:
        super().__init__()
        self.shape = shape
        self.vector = torch.nn.Parameter(vector)
        frequency = shape.base ** (-torch.arange(0, shape.depth, 2, dtype=torch.float32) / shape.depth)
        angle = torch.outer(torch.arange(shape.positions, dtype=torch.float32), frequency)
        self.turns = torch.polar(torch.ones_like(angle), angle)[:, None, None]  # [positions, 1, 1, depth / 2]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From a checkpoint folder of transformers' Llama, in float32."""
        shape = Shape.read(folder)
        return cls(shape, joined(load_file(folder / "model.safetensors"), shape))

    def weights(self) -> Weights:
        """Views, through which gradients reach the vector."""
        return weights_of(self.vector, self.shape)

    def scores(
        self, weights: Weights, tokens: torch.Tensor, turn: torch.Tensor, attend: Attend, wanted: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits of what comes after some of the positions.

        Args:
            weights: of `weights()`.
            tokens: int64 `[N, T]`.
            turn: complex64 `[T, 1, 1, depth / 2]` or `[N, T, 1, 1, depth / 2]`, the positions' part of `turns`.
            attend: what tells the uses apart: which keys and values the positions see.
            wanted: int64 `[S]`, positions in the flattened `tokens`, of the others the last layer makes keys and
                values alone; None is all of them.

        Returns:
            float32 `[S, vocabulary]`.
        """
        shape, last = self.shape, self.shape.layers - 1
        x = F.embedding(tokens.flatten(), weights.embedding, padding_idx=PAD_ID)  # as theirs, it learns from no input
        heads = (*tokens.shape, 3, shape.heads, shape.depth)
        for index, layer in enumerate(weights.layers):
            qkv = F.linear(self._normed(x, layer.norm), layer.qkv).view(heads)
            pairs = torch.view_as_complex(qkv[..., :2, :, :].unflatten(-1, (-1, 2)))
            queries, keys = torch.view_as_real(pairs * turn).flatten(-2).unbind(-3)
            seen = attend(index, queries, keys, qkv[..., 2, :, :])
            if index == last and wanted is not None:
                x, seen = x[wanted], seen[wanted]
            x = x + F.linear(seen, layer.out)
            gate, up = F.linear(self._normed(x, layer.mlp_norm), layer.gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return F.linear(self._normed(x, weights.norm), weights.embedding)

    def read(self, weights: Weights, tokens: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, Memory]:
        """Sequences from their beginning, padded on the right, where padding disturbs nobody.

        Args:
            weights: of `weights()`.
            tokens: int64 `[N, T]`.
            wanted: as for `scores`.

        Returns:
            Logits `[S, vocabulary]`, and keys and values for whoever goes on.
        """
        memory: Memory = []

        def attend(_: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            memory.append((keys, values))
            return attention(queries, keys, values, None)

        return self.scores(weights, tokens, self.turns[: tokens.shape[1]], attend, wanted), memory

    def follow(
        self,
        weights: Weights,
        tokens: torch.Tensor,
        wanted: torch.Tensor,
        memory: Memory,
        lengths: torch.Tensor,
        owner: torch.Tensor,
    ) -> torch.Tensor:
        """What follows sequences that have been read; several may follow the same one.

        Args:
            weights: of `weights()`.
            tokens: int64 `[N, T]`.
            wanted: as for `scores`.
            memory: of `read`, for P sequences.
            lengths: int64 `[P]`, of the sequences that were read.
            owner: int64 `[N]`, which of them each row follows.

        Returns:
            Logits `[S, vocabulary]`.
        """
        length = tokens.shape[1]
        positions = torch.arange(length)
        before = memory[0][0].shape[1]
        hides = hidden_padding(lengths, before)[owner][:, None].expand(-1, length, -1)
        future = torch.full((length, length), -torch.inf).triu(1).expand(len(tokens), -1, -1)
        mask = torch.cat([hides, future], dim=2)[:, None]

        def attend(layer: int, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
            past_keys, past_values = memory[layer]
            keys = torch.cat([past_keys.index_select(0, owner), keys], dim=1)
            values = torch.cat([past_values.index_select(0, owner), values], dim=1)
            return attention(queries, keys, values, mask)

        return self.scores(weights, tokens, self.turns[lengths[owner][:, None] + positions], attend, wanted)

    def _normed(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (self.shape.width,), weight, self.shape.epsilon)


def attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
    """Scaled dot products, heads joined again: `[N * T, width]`; causal if there is no mask to say otherwise."""
    seen = F.scaled_dot_product_attention(
        queries.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2), attn_mask=mask, is_causal=mask is None
    )
    return seen.transpose(1, 2).flatten(2).flatten(0, 1)


def hidden_padding(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """Added to attention scores, it hides what lies beyond each length: float32 `[N, width]` of 0 and -inf.

    >>> hidden_padding(torch.tensor([1, 2]), 2)
    tensor([[0., -inf],
            [0., 0.]])
    """
    return torch.zeros(len(lengths), width).masked_fill(torch.arange(width) >= lengths[:, None], -torch.inf)
