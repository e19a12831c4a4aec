"""Held-out accuracy: the share of samples solved, prompt by prompt, and greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cero_trl.demo.tasks import Puzzle, solved


@torch.no_grad()
def evaluate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    puzzles: Sequence[Puzzle],
    *,
    samples: int,
    max_new_tokens: int,
    seed: int,
) -> tuple[list[float], float]:
    """Ask the model every puzzle, several times and once greedily.

    Training's random state is put back afterwards, so evaluating more often changes no run.

    Args:
        model: What to evaluate; its mode is put back afterwards.
        tokenizer: Left-padding.
        puzzles: Held-out.
        samples: Completions of each at temperature 1.
        max_new_tokens: Longest completion.
        seed: Of the sampling.

    Returns:
        Share of samples solved for each puzzle, and the greedy accuracy.
    """
    training = model.training
    model.eval()
    prompts = tokenizer([p.prompt for p in puzzles], return_tensors="pt", padding=True, return_token_type_ids=False).to(
        model.device
    )

    def ask(**how: object) -> list[str]:
        rows = model.generate(**prompts, max_new_tokens=max_new_tokens, **how)
        texts: list[str] = tokenizer.batch_decode(rows[:, prompts["input_ids"].shape[1] :], skip_special_tokens=True)
        return texts

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        sampled = ask(do_sample=True, num_return_sequences=samples, temperature=1.0, top_k=0, top_p=1.0)
    greedy = ask(do_sample=False)
    model.train(training)

    right = [solved(puzzles[i // samples], text) for i, text in enumerate(sampled)]
    rates = [sum(right[i : i + samples]) / samples for i in range(0, len(right), samples)]
    return rates, sum(map(solved, puzzles, greedy)) / len(puzzles)
