"""The learner of one training: it generates waves of rollouts, and makes one optimizer step of a round's waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from cero_api import group_advantages
from cero_lab.fast.generate import Completions, generate
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.settings import TrainSettings

_EPS = 1e-4  # TRL's, beside a group's standard deviation
_MOST_NORM = 1.0  # of a gradient; TRL's default


@dataclass(frozen=True, eq=False)
class Wave:
    """Rollouts that were generated together.

    Args:
        rows: int64 `[N]`, the pool row of each, those of one prompt side by side.
        completions: what was said, `[N]`.
        rewards: float64 `[N]`, 0 or 1.
    """

    rows: NDArray[np.int64]
    completions: Completions
    rewards: NDArray[np.float64]


class Learner:
    """A network, its optimizer and its stream of samples.

    The step is TRL's, as the learner's trainings configure it: GRPO's advantages, the DAPO loss, no KL term, one
    optimizer step a round, and a learning rate that is constant after its warmup.

    Args:
        network: to train.
        pool: the prompts.
        sizes: of the training.
        seed: of the samples.
    """

    def __init__(self, network: Network, pool: Questions, sizes: TrainSettings, seed: int | Sequence[int]) -> None:
        self.network, self.pool, self._sizes = network, pool, sizes
        self._samples = torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        kinds = {"adamw_torch": torch.optim.AdamW, "sgd": torch.optim.SGD}
        self._optimizer = kinds[sizes.optimizer]([network.vector], lr=sizes.learning_rate, weight_decay=0.0)
        self._steps = 0

    def generate(self, rows: NDArray[np.int64], counts: NDArray[np.int64]) -> Wave:
        """Ask prompts of the pool.

        Args:
            rows: int64 `[P]`, without repeats.
            counts: int64 `[P]`, rollouts of each, positive.
        """
        asked = torch.from_numpy(rows)
        owner = torch.arange(len(rows)).repeat_interleave(torch.from_numpy(counts))
        chance = torch.rand(len(owner), self._sizes.max_new_tokens, generator=self._samples)
        completions = generate(self.network, *self.pool.prompts(asked), owner, chance)
        every = np.repeat(rows, counts)
        return Wave(every, completions, self.pool.rewards(every, completions.tokens, completions.lengths))

    def step(self, waves: Sequence[Wave], kept: NDArray[np.int64] | None = None) -> None:
        """One optimizer step of a round: a prompt's rollouts share one baseline, whatever waves they came in.

        Args:
            waves: of the round, at least one.
            kept: pool rows whose rollouts are trained on; None for all. The others count in nothing.
        """
        rows = np.concatenate([wave.rows for wave in waves])
        trained = np.flatnonzero(np.ones(rows.size, dtype=bool) if kept is None else np.isin(rows, kept))
        rows = rows[trained]
        rewards = np.concatenate([wave.rewards for wave in waves])[trained]
        advantages = group_advantages(rewards, rows, eps=_EPS)
        lengths = torch.cat([wave.completions.lengths for wave in waves])[trained]
        for group in self._optimizer.param_groups:
            group["lr"] = self._sizes.learning_rate * self._warmth
        taught = np.flatnonzero(advantages)  # the others have no gradient, and need not be computed
        if taught.size:
            tokens = torch.cat([wave.completions.tokens for wave in waves])[trained[taught]]
            total = int(lengths.sum())
            self._optimizer.zero_grad()
            policy_loss(
                self.network, self.pool, rows[taught], tokens, lengths[taught], advantages[taught], total
            ).backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), _MOST_NORM)
        else:  # the optimizer still moves by what it remembers
            self.network.vector.grad = torch.zeros_like(self.network.vector)
        self._optimizer.step()
        self._steps += 1

    @property
    def _warmth(self) -> float:
        """Of the learning rate: transformers' "constant_with_warmup", whose first step does not move."""
        warmup = self._sizes.warmup
        return 1.0 if self._steps >= warmup else self._steps / warmup


def policy_loss(
    network: Network,
    questions: Questions,
    rows: NDArray[np.int64],
    tokens: torch.Tensor,
    lengths: torch.Tensor,
    advantages: NDArray[np.float64],
    total: int,
) -> torch.Tensor:
    r"""The DAPO loss where nothing is clipped, $-\frac{1}{T} \sum_i A_i \sum_t \log \pi(y_{it} \mid x_i, y_{i,<t})$.

    With one step on each round the ratio of the policies is 1, so that clipping does nothing and the gradient is this
    one's. Every prompt is computed once.

    Args:
        network: the policy.
        questions: that were asked.
        rows: int64 `[N]`, of the questions.
        tokens: int64 `[N, T]`, completions.
        lengths: int64 `[N]`, of the completions.
        advantages: float64 `[N]`, A.
        total: T, tokens of the round, those of rollouts without advantage among them.

    Returns:
        A number.
    """
    asked, owner = (torch.from_numpy(x) for x in np.unique(rows, return_inverse=True))
    prompts, sizes = questions.prompts(asked)
    weights, weight = network.weights(), torch.from_numpy(advantages).float()
    first, memory = network.read(weights, prompts, torch.arange(len(asked)) * prompts.shape[1] + sizes - 1)
    logits, targets, factors = [first[owner]], [tokens[:, 0]], [weight]
    longest = int(lengths.max())
    if longest > 1:
        told = torch.arange(1, longest) < lengths[:, None]
        wanted = torch.nonzero(told.flatten()).squeeze(1)
        logits.append(network.follow(weights, tokens[:, : longest - 1], wanted, memory, sizes, owner))
        targets.append(tokens[:, 1:longest][told])
        factors.append(weight[:, None].expand_as(told)[told])
    lost = F.cross_entropy(torch.cat(logits), torch.cat(targets), reduction="none")
    return (lost * torch.cat(factors)).sum() / total
