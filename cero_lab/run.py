"""One training run: one allocator, one seed. Everything it learns is on disk, so it can stop and go on.

As a program, `python -m cero_lab.run FOLDER` trains what `FOLDER/settings.json` says, or goes on with it.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

# Nothing here needs a network; without this, libraries ask the hub about checkpoints on disk.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, TrainerControl, TrainerState
from transformers.trainer_utils import get_last_checkpoint
from trl import GRPOConfig

from cero_lab import history
from cero_lab.evaluate import evaluate
from cero_lab.settings import SETTINGS_FILE, RunSettings
from cero_lab.tasks import by_prompt, heldout, pool, solved
from cero_trl.feedback import RoundRecord
from cero_trl.trainer import CeroGRPOTrainer

INTERRUPTED = 130  # as a shell reports a program stopped by Ctrl-C


def train(settings: RunSettings, folder: Path, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Train, or go on from the last checkpoint in the folder.

    Args:
        settings: What to train.
        folder: For checkpoints and history.
        should_stop: Asked after every round.

    Returns:
        Whether it is complete; if it was stopped, it left a checkpoint to go on from.
    """
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    sizes = settings.train
    puzzles = pool(settings.pool, sizes.prompts, settings.seed)
    answers = by_prompt(puzzles)
    tokenizer = AutoTokenizer.from_pretrained(settings.start, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(settings.start, dtype=torch.float32)

    def reward(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [float(solved(answers[p], c)) for p, c in zip(prompts, completions, strict=True)]

    trainer = CeroGRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(folder),
            max_steps=sizes.rounds,
            per_device_train_batch_size=sizes.prompts_per_round * sizes.group_size,
            num_generations=sizes.group_size,
            max_completion_length=sizes.max_new_tokens,
            optim=sizes.optimizer,
            learning_rate=sizes.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=sizes.warmup,
            top_k=0,
            seed=settings.seed + 1_000_003 * settings.stream,
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_steps=sizes.save_every,
            save_total_limit=1,
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        ),
        # What is known of a prompt before its first visit: its length, and the task, as data sets name their source.
        train_dataset=Dataset.from_list([{"prompt": p.prompt, "task": p.task} for p in puzzles]),
        processing_class=tokenizer,
        allocator=settings.allocator,
        allocator_config=settings.allocator_config,
        trace=folder / "trace.jsonl",
        scope=settings.scope,
        prompt_weight=settings.prompt_weight,
    )
    recorder = _Recorder(settings, folder, trainer, should_stop)
    trainer.add_callback(recorder)
    trainer._on_round = recorder.on_round

    checkpoint = get_last_checkpoint(str(folder))
    step = 0 if checkpoint is None else int(Path(checkpoint).name.rpartition("-")[2])
    history.rewind(folder, step if checkpoint else -1)
    trainer.train(resume_from_checkpoint=checkpoint)
    return int(trainer.state.global_step) == sizes.rounds


class _Recorder(TrainerCallback):
    """Writes the history, evaluates, and stops after the current round when asked to."""

    def __init__(
        self,
        settings: RunSettings,
        folder: Path,
        trainer: CeroGRPOTrainer,
        should_stop: Callable[[], bool],
    ) -> None:
        self._settings, self._folder = settings, folder
        self._trainer, self._should_stop = trainer, should_stop
        self._heldout = heldout(settings.pool, settings.evaluation.prompts, settings.evaluation.seed)
        self._round: RoundRecord | None = None
        self._seconds, self._since = 0.0, 0.0

    def on_round(self, record: RoundRecord) -> None:
        """Keep a round until its optimizer step is done."""
        self._round = record

    def on_train_begin(self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Evaluate the starting model, unless this run is a resumed one."""
        past = history.read(self._folder).rounds
        self._seconds = past[-1].seconds if past else 0.0
        if not past:
            self._evaluate(0, 0)
        self._since = time.perf_counter()

    def on_step_end(self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """Record the round; evaluate, save and stop when it is time."""
        record, step = self._round, state.global_step
        assert record is not None  # one generation batch per optimizer step
        self._seconds += time.perf_counter() - self._since
        dealt = record.counts > 0
        history.append(
            self._folder,
            history.Round(
                step=step,
                rollouts=record.rollouts_so_far,
                prompts=record.prompt_ids[dealt].tolist(),
                counts=record.counts[dealt].tolist(),
                successes=record.successes[dealt].tolist(),
                price=self._trainer.allocator.metrics().get("budget_price"),
                allocator_seconds=record.allocator_seconds,
                seconds=self._seconds,
                tokens=record.tokens[dealt].astype(int).tolist(),  # every rollout has a reward
            ),
        )
        last = step == self._settings.train.rounds
        if step % self._settings.evaluation.every == 0 or last:
            self._evaluate(step, record.rollouts_so_far)
        if last or self._should_stop():
            control.should_save = True
            control.should_training_stop = True
        self._since = time.perf_counter()

    def _evaluate(self, step: int, rollouts: int) -> None:
        rates, greedy = evaluate(
            self._trainer.model,
            self._trainer.processing_class,
            self._heldout,
            samples=self._settings.evaluation.samples,
            max_new_tokens=self._settings.train.max_new_tokens,
            seed=self._settings.evaluation.seed,
        )
        history.append(self._folder, history.Evaluation(step, rollouts, rates, greedy))


def main(folder: Path) -> int:
    """Train what a folder's settings say.

    Args:
        folder: With `settings.json`.

    Returns:
        The exit status: 0 when complete, 130 when stopped by a signal.
    """
    # Nothing a user of the demo could do about these; the tests name each of them instead.
    warnings.filterwarnings("ignore", module=r"(transformers|trl|torch|accelerate)\b.*")
    logging.getLogger("transformers").setLevel(logging.ERROR)

    signals: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: signals.append(received))
    parent = os.getppid()

    def should_stop() -> bool:
        # An orphan would go on writing into a folder that somebody may resume.
        return bool(signals) or os.getppid() != parent

    settings = RunSettings.model_validate_json((folder / SETTINGS_FILE).read_text())
    return 0 if train(settings, folder, should_stop) else INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
