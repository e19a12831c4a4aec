"""How likely the right answer is, exactly: held-out accuracy, and what an oracle knows of the pool."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions


@torch.inference_mode()
def chances(network: Network, questions: Questions, rows: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
    r"""Probability that one completion at temperature 1 is right, $\prod_t P(y_t \mid y_{<t})$ over the answer $y$.

    Args:
        network: the model.
        questions: with one right answer each.
        rows: int64 `[P]`, of the questions; None is all of them.

    Returns:
        float64 `[P]`.
    """
    asked = torch.arange(len(questions)) if rows is None else torch.as_tensor(rows)
    answers = torch.zeros(len(asked), dtype=torch.float64)
    for places in questions.by_length(asked):
        logits, targets, owner = answer_logits(network, questions, asked[places])
        lost = F.cross_entropy(logits, targets, reduction="none").double()
        answers[places] = torch.zeros(len(places), dtype=torch.float64).index_add_(0, owner, -lost)
    return np.asarray(answers.exp().numpy())


def answer_logits(
    network: Network, questions: Questions, rows: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the model expects at each token of the right answers, the end of sequence among them.

    Args:
        network: the model.
        questions: with one right answer each.
        rows: int64 `[P]`, of the questions.

    Returns:
        Logits `[S, vocabulary]`, the right tokens int64 `[S]`, and the place in `rows` of each, int64 `[S]`.
    """
    lengths, begins = questions.lengths[rows, None], questions.prompt_lengths[rows, None]
    tokens = questions.tokens[rows, : int(lengths.max())]
    position = torch.arange(1, tokens.shape[1])
    told = (position >= begins) & (position < lengths)
    logits, _ = network.read(network.weights(), tokens[:, :-1], torch.nonzero(told.flatten()).squeeze(1))
    return logits, tokens[:, 1:][told], torch.nonzero(told)[:, 0]
