"""A short supervised warm start, so that success rates spread over (0, 1); cached by the content of its settings."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase

import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM
from transformers.utils.logging import disable_progress_bar

from cero_lab import tasks
from cero_lab.fast.chances import answer_logits
from cero_lab.fast.network import Network
from cero_lab.fast.questions import Questions
from cero_lab.fast.weights import Shape, joined, parted
from cero_lab.model import make_model, make_tokenizer
from cero_lab.settings import WarmstartSettings
from cero_lab.tasks import Puzzle

Progress = Callable[[int, float], None]


def _silent(step: int, mastery: float) -> None:
    """Report nothing."""


def cached_checkpoint(settings: WarmstartSettings, cache: Path, progress: Progress = _silent) -> Path:
    """The warm-started model and its tokenizer, trained only if nobody has yet.

    Args:
        settings: Model, data and optimisation; any change is another checkpoint.
        cache: Folder of checkpoints.
        progress: Called now and then with the steps done and the mastery reached.

    Returns:
        A folder that `AutoModelForCausalLM.from_pretrained` reads.
    """
    # What the tasks look like decides the data as much as the settings do.
    content = settings.model_dump_json() + Path(tasks.__file__).read_text() + torch.__version__
    folder = cache / f"warmstart-{hashlib.blake2b(content.encode(), digest_size=6).hexdigest()}"
    if not folder.exists():
        model = train(settings, progress)
        cache.mkdir(parents=True, exist_ok=True)
        # Complete or absent: a reader never sees half a checkpoint.
        temporary = Path(tempfile.mkdtemp(dir=cache))
        disable_progress_bar()  # it would run across those of whoever calls
        model.save_pretrained(temporary)
        make_tokenizer().save_pretrained(temporary)
        try:
            os.rename(temporary, folder)
        except OSError:  # another process was first
            shutil.rmtree(temporary)
    return folder


def train(settings: WarmstartSettings, progress: Progress = _silent) -> LlamaForCausalLM:
    """Train the untrained model on solved puzzles, answers only.

    Args:
        settings: Model, data and optimisation.
        progress: Called now and then with the steps done and the mastery reached.

    Returns:
        The model.
    """
    torch.set_num_threads(1)  # the model is too small to share out; more threads are slower on a busy machine
    model = make_model(settings.model, settings.seed)
    shape = Shape.of(model.config.to_dict())
    network = Network(shape, joined(model.state_dict(), shape))
    optimizer = torch.optim.AdamW([network.vector], lr=settings.learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    shelves = _by_class(settings)
    weights = [settings.length_decay**length for _, length in shelves]
    rng = random.Random(settings.seed)

    classes = list(shelves.values())
    exam = Questions.of(list(map(rng.choice, rng.choices(classes, weights, k=256))))

    step, end = 0, settings.max_steps
    while step < end:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * min(1.0, (step + 1) / 30, (end - step) / settings.cooldown)
        picked = map(rng.choice, rng.choices(classes, weights, k=settings.batch))
        slipped = [dataclasses.replace(p, answer=_slip(p.answer, settings.slips, rng)) for p in picked]
        optimizer.zero_grad()
        learn(network, Questions.of(slipped))
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 10 == 0:
            mastery = _mastery(network, exam)
            progress(step, mastery)
            if mastery >= settings.mastery:
                end = min(end, step + settings.cooldown)
    model.load_state_dict(parted(network.vector, shape), strict=False)  # the head is the embedding
    return model.eval()


def _by_class(settings: WarmstartSettings) -> dict[tuple[str, int], list[Puzzle]]:
    shelves: dict[tuple[str, int], list[Puzzle]] = {}
    for puzzle in tasks.corpus("warmstart", settings.tasks):
        if 3 <= puzzle.length <= settings.longest:
            shelves.setdefault((puzzle.task, puzzle.length), []).append(puzzle)
    return shelves


def learn(network: Network, shown: Questions) -> None:
    """Add the gradient of the mean loss over the tokens of all answers.

    Args:
        network: Whose weights get it.
        shown: Prompts with the answers to imitate; the prompts carry no loss.
    """
    total = int((shown.lengths - shown.prompt_lengths).sum())
    for rows in shown.by_length():
        logits, right, _ = answer_logits(network, shown, rows)
        (F.cross_entropy(logits, right, reduction="sum") / total).backward()


@torch.no_grad()
def _mastery(network: Network, exam: Questions) -> float:
    """Share of answer positions where the most likely character is the right one."""
    logits, right, _ = answer_logits(network, exam, torch.arange(len(exam)))
    return float((logits.argmax(-1) == right).float().mean())


def _slip(answer: str, share: float, rng: random.Random) -> str:
    """Replace a share of the characters by random letters."""
    return "".join(rng.choice(ascii_lowercase) if rng.random() < share else c for c in answer)
