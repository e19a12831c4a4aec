"""Completions at temperature 1, all of a wave side by side."""

from __future__ import annotations

from dataclasses import dataclass

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
    said, sizes = _generate(network, prompts, lengths, owner, chance)
    return Completions(said.clone(), sizes.clone())  # a loss may use these, being made outside of inference mode


@torch.inference_mode()
def _generate(
    network: Network, prompts: torch.Tensor, lengths: torch.Tensor, owner: torch.Tensor, chance: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    weights, shape = network.weights(), network.shape
    rows, longest = chance.shape
    before = prompts.shape[1]
    logits, memory = network.read(weights, prompts, torch.arange(len(prompts)) * before + lengths - 1)
    logits = logits[owner]
    # Everything a row owns in one tensor, so that clearing rows away is one call.
    cache = torch.empty(rows, shape.layers, 2, before + longest, shape.heads, shape.depth)
    cache[:, :, :, :before] = torch.stack([torch.stack(pair, 1) for pair in memory], 1)[owner]
    mask = F.pad(hidden_padding(lengths, before)[owner], (0, longest))
    position = lengths[owner]
    talking = torch.arange(rows)
    said, sizes = torch.full((rows, longest), PAD_ID), torch.full((rows,), longest)
    over = torch.zeros(rows, dtype=torch.bool)
    for step in range(longest):
        shares = logits.softmax(-1).cumsum_(-1)
        # The last share may be a rounding short of 1.
        token = torch.searchsorted(shares, chance[talking, step, None], right=True).clamp_(max=shape.vocabulary - 1)
        token = token.squeeze(1)
        said[talking, step] = token.masked_fill(over, PAD_ID)
        ends = (token == EOS_ID) & ~over
        sizes[talking[ends]] = step + 1
        over |= ends
        left = rows - int(over.sum())
        if left == 0 or step + 1 == longest:
            break
        if left < _CROWDED * rows:
            keep = torch.nonzero(~over).squeeze(1)
            talking, token, cache, mask, position = (x[keep] for x in (talking, token, cache, mask, position))
            rows, over = left, torch.zeros(left, dtype=torch.bool)
        here = before + step

        def attend(
            layer: int,
            queries: torch.Tensor,
            keys: torch.Tensor,
            values: torch.Tensor,
            store: torch.Tensor = cache,
            until: int = here + 1,
            hides: torch.Tensor = mask,
        ) -> torch.Tensor:
            store[:, layer, 0, until - 1 : until] = keys
            store[:, layer, 1, until - 1 : until] = values
            return attention(
                queries, store[:, layer, 0, :until], store[:, layer, 1, :until], hides[:, None, None, :until]
            )

        turn = network.turns[position[:, None] + step]
        logits = network.scores(weights, token[:, None], turn, attend, None)
    return said, sizes
