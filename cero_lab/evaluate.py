"""Held-out accuracy, prompt by prompt: the share of samples solved, or the probability that one is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from cero_lab.tasks import Puzzle, solved


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
        samples: Completions of each at temperature 1; 0 asks for none and takes the probability of the right answer.
        max_new_tokens: Longest completion.
        seed: Of the sampling.

    Returns:
        Share of samples solved for each puzzle, or its expectation, and the greedy accuracy.
    """
    if samples == 0:
        return expected(model, tokenizer, puzzles)
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


@torch.no_grad()
def expected(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, puzzles: Sequence[Puzzle]
) -> tuple[list[float], float]:
    r"""What sampling estimates, exactly: a puzzle has one right answer $y$, and $P(y) = \prod_t P(y_t \mid y_{<t})$.

    Args:
        model: What to evaluate; its mode is put back afterwards.
        tokenizer: Left-padding.
        puzzles: Held-out.

    Returns:
        Probability that one sample at temperature 1 solves each puzzle, and the greedy accuracy.
    """
    training = model.training
    model.eval()
    # The prompts end in the same column, so the answers begin in the same one; the end of sequence is part of them.
    prompts = tokenizer([p.prompt for p in puzzles], return_tensors="pt", padding=True, return_token_type_ids=False)
    answers = [tokenizer(p.answer)["input_ids"] + [tokenizer.eos_token_id] for p in puzzles]
    width = max(map(len, answers))
    targets = torch.tensor([answer + [-1] * (width - len(answer)) for answer in answers])
    inside = targets >= 0
    rows = torch.cat([prompts["input_ids"], targets.where(inside, tokenizer.pad_token_id)], dim=1)
    mask = torch.cat([prompts["attention_mask"], inside.long()], dim=1)
    positions = (mask.cumsum(1) - 1).clamp(min=0)  # as generate counts them
    logits = model(
        input_ids=rows.to(model.device), attention_mask=mask.to(model.device), position_ids=positions.to(model.device)
    ).logits[:, -width - 1 : -1]
    model.train(training)

    chances = logits.float().log_softmax(-1).cpu()
    right = chances.gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
    rates: list[float] = right.where(inside, 0.0).sum(1).exp().tolist()
    greedy = ((chances.argmax(-1) == targets) | ~inside).all(1).float().mean()
    return rates, float(greedy)
