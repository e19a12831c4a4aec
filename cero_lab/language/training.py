"""One training of a language model by TRL and its adapter, whose record is written at every evaluation."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig

from cero_lab.evidence.arithmetic import MAX_NEW_TOKENS, Sum, draw, solved
from cero_lab.evidence.record import signal_per_rollout
from cero_lab.language.settings import VARIANTS, Record, Sizes
from cero_lab.language.start import accuracy, device, load
from cero_trl import CeroGRPOTrainer, RoundRecord


def make(name: str, seed: int, sizes: Sizes, start: Path, path: Path, deadline: float) -> None:
    """Train, and keep what there is of it; nothing is begun once the time is up.

    Args:
        name: of the variant.
        seed: of the pool's draw and all that is random.
        sizes: of the training.
        start: folder of the model it begins with.
        path: of the record.
        deadline: when to stop, by `time.time()`.
    """
    if time.time() >= deadline:
        return
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    model, tokenizer = load(start)
    pool, heldout = draw("pool", sizes.prompts, seed), draw("heldout", sizes.heldout, seed=0)
    watch = _Watch(name, seed, sizes, start, path, deadline, tokenizer, heldout)
    trainer = _trainer(name, seed, sizes, model, tokenizer, pool, watch)
    watch.trainer = trainer
    trainer.train()
    watch.save(finished=trainer.state.global_step >= sizes.rounds)


class _Watch(TrainerCallback):
    """Evaluates, writes the record, and ends the training when its time is up."""

    def __init__(
        self, name: str, seed: int, sizes: Sizes, start: Path, path: Path, deadline: float, tokenizer: Any,
        heldout: list[Sum],
    ) -> None:  # fmt: skip
        self.name, self.seed, self.sizes, self.start, self.path = name, seed, sizes, start, path
        self.deadline, self.tokenizer, self.heldout = deadline, tokenizer, heldout
        self.trainer: Any = None
        self.rounds: list[RoundRecord] = []
        self.found: list[tuple[int, int, float]] = []  # rollouts, tokens and accuracy
        self.seconds, self.since = 0.0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._evaluate()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step % max(self.sizes.rounds // self.sizes.evaluations, 1):
            return
        self.seconds += time.perf_counter() - self.since
        self._evaluate()
        self.save(finished=False)
        if time.time() >= self.deadline:
            control.should_training_stop = True

    def _evaluate(self) -> None:
        share = accuracy(self.trainer.model, self.tokenizer, self.heldout, self.sizes.samples)
        spent = self.rounds[-1].rollouts_so_far if self.rounds else 0
        self.found.append((spent, int(self.trainer.allocator.metrics()["tokens"]), share))
        print(f"{self.name}, seed {self.seed}: {self.found[-1]}", flush=True)
        self.since = time.perf_counter()

    def save(self, *, finished: bool) -> None:
        """Write what there is, if it is enough to be compared."""
        if len(self.found) < 2:
            return
        counts = [part.counts.tolist() for part in self.rounds]
        won = [part.successes.tolist() for part in self.rounds]
        groups = [
            (n, s) for sizes, wins in zip(counts, won, strict=True) for n, s in zip(sizes, wins, strict=True) if n
        ]
        Record(
            label=self.name,
            seed=self.seed,
            start=self.start.name,
            regime="smollm2-135m",
            rollouts=[rollouts for rollouts, _, _ in self.found],
            tokens=[tokens for _, tokens, _ in self.found],
            accuracy=[share for _, _, share in self.found],
            effective_group_rate=sum(0 < s < n for n, s in groups) / len(groups),
            signal_per_rollout=signal_per_rollout(counts, won),
            optimizer_steps=len(self.rounds),
            allocator_seconds=sum(part.allocator_seconds for part in self.rounds),
            seconds=self.seconds,
            finished=finished,
            settings=self.sizes,
            device=torch.cuda.get_device_name() if device() == "cuda" else "cpu",
        ).save(self.path)


def _trainer(
    name: str, seed: int, sizes: Sizes, model: Any, tokenizer: Any, pool: list[Sum], watch: _Watch
) -> CeroGRPOTrainer:
    questions = {s.prompt: s for s in pool}

    def reward(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [float(solved(questions[p], c)) for p, c in zip(prompts, completions, strict=True)]

    variant = VARIANTS[name]
    rows = [
        {"prompt": s.prompt} | ({"source": f"{s.kind[0]} terms, {s.kind[1]} digits"} if variant.source else {})
        for s in pool
    ]
    with tempfile.TemporaryDirectory() as folder:  # nothing is written there
        return CeroGRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=GRPOConfig(
                output_dir=folder,
                max_steps=sizes.rounds,
                per_device_train_batch_size=sizes.prompts_per_round * sizes.group_size,
                num_generations=sizes.group_size,
                max_completion_length=MAX_NEW_TOKENS,
                learning_rate=sizes.learning_rate,
                lr_scheduler_type="constant_with_warmup",
                warmup_steps=2,
                top_k=0,
                seed=seed,
                use_cpu=device() == "cpu",
                bf16=False,
                gradient_checkpointing=False,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            allocator=variant.allocator,
            on_round=watch.rounds.append,
            callbacks=[watch],
            **variant.options,
        )
