"""Completions at temperature 1, all of a wave side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F

from cero_lab.fast.network import Network, attention, hidden_padding
from cero_lab.vocabulary import EOS_ID, PAD_ID

# Finished rows are cleared away when fewer than this share of the rows in the batch still talk.
_CROWDED = 0.8


@dataclass(frozen=True, eq=False)
class Completions:
    """What was said.

    Args:
        tokens: int64 `[N, T]`, padded after the end of sequence.
        lengths: int64 `[N]`, tokens up to the end of sequence, it included, or T where none came.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor


def generate(
    network: Network,
    prompts: torch.Tensor,
    lengths: torch.Tensor,
    owner: torch.Tensor,
    chance: torch.Tensor,
) -> Completions:
    r"""Sample completions; each prompt is read once, however many completions it gets.

    Token $t$ of a row is the first whose cumulated probability exceeds `chance[row, t]`, so that what a row says
    depends on its own numbers alone, and not on who is in the batch with it.

    Args:
        network: the model.
        prompts: int64 `[P, L]`, padded on the right.
        lengths: int64 `[P]`, their tokens.
        owner: int64 `[N]`, the prompt of each completion.
        chance: float32 `[N, T]` in [0, 1), independent and uniform; T is the longest completion.

    Returns:
        The completions.
    """
    said = _generate(network, prompts, lengths, owner, chance).clone()  # made outside of inference mode, for a loss
    ends = said == EOS_ID
    return Completions(said, torch.where(ends.any(1), ends.int().argmax(1) + 1, said.shape[1]))


@torch.inference_mode()
def _generate(
    network: Network, prompts: torch.Tensor, lengths: torch.Tensor, owner: torch.Tensor, chance: torch.Tensor
) -> torch.Tensor:
    weights, shape = network.weights(), network.shape
    longest, before = chance.shape[1], prompts.shape[1]
    logits, memory = network.read(weights, prompts, torch.arange(len(prompts)) * before + lengths - 1)
    logits = logits[owner]
    said = torch.full_like(chance, PAD_ID, dtype=torch.int64)
    # Of the rows that still talk: their numbers, words, and whatever else one owns by itself.
    talking, words = torch.arange(len(owner)), said.clone()
    cache = torch.empty(len(owner), shape.layers, 2, before + longest, shape.heads, shape.depth)
    cache[:, :, :, :before] = torch.stack([torch.stack(pair, 1) for pair in memory], 1)[owner]
    mask = F.pad(hidden_padding(lengths, before)[owner], (0, longest))[:, None, None]
    turns = network.turns[lengths[owner][:, None] + torch.arange(longest)]
    over = torch.zeros(len(owner), dtype=torch.bool)
    for step in range(longest):
        shares = logits.softmax(-1).cumsum_(-1)
        token = torch.searchsorted(shares, chance[:, step, None].contiguous(), right=True)
        token.clamp_(max=shape.vocabulary - 1)  # the last share may be a rounding short of 1
        words[:, step : step + 1] = token.masked_fill_(over[:, None], PAD_ID)
        over |= token[:, 0] == EOS_ID
        left = len(over) - int(over.sum())
        if left == 0 or step + 1 == longest:
            break
        if left < _CROWDED * len(over):
            said[talking] = words
            keep = torch.nonzero(~over).squeeze(1)
            talking, words, token, chance, cache, mask, turns, over = (
                x[keep] for x in (talking, words, token, chance, cache, mask, turns, over)
            )
        attend = partial(_attend, cache=cache, mask=mask, here=before + step)
        logits = network.scores(weights, token, turns[:, step : step + 1], attend, None)
    said[talking] = words
    return said


def _attend(
    layer: int,
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    *,
    cache: torch.Tensor,
    mask: torch.Tensor,
    here: int,
) -> torch.Tensor:
    """Put one position into the cache, and see it and all before it."""
    mine = cache[:, layer]
    mine[:, 0, here : here + 1] = keys
    mine[:, 1, here : here + 1] = values
    past = mine[:, :, : here + 1]
    return attention(queries, past[:, 0], past[:, 1], mask[..., : here + 1])
