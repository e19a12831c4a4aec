"""Does the verl adapter learn as the TRL one does? The demo's task through real verl, uniform and CERO, paired seeds.

    python benchmarks/verl_learning.py [--regime hard] [--seeds 3] [--report]

Runs in the environment of `nox -s verl`, with reasoning-gym and rich beside it, on the CPU as integration_tests/verl
does. It can be stopped at any time; a rerun makes what is missing. Held-out accuracy is the mean
probability of the right answer, as in benchmarks/sample_efficiency.py, at verl's own checkpoints.
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from integration_tests.verl import tiny

# Before anything imports verl, which looks for its platform then.
os.environ |= tiny.ENVIRONMENT

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer

from cero_api.analysis.learning import Interval, TrainingRecord, area, read_trainings
from cero_api.analysis.report.learning_table import stated
from cero_lab import evidence
from cero_lab.evaluate import expected
from cero_lab.evidence.page import fill
from cero_lab.evidence.record import load, path_of
from cero_lab.evidence.regimes import EVALUATION, REGIMES, Regime
from cero_lab.tasks import heldout, pool
from cero_lab.warmstart import cached_checkpoint

RESULTS = Path(__file__).parent / "results"
REWARD = Path(evidence.__file__).with_name("verl_reward.py")  # imported by verl alone
FLAGS = {
    "uniform": ["+rollout_allocator=uniform"],
    "cero": ["+rollout_allocator=cero", "rollout_allocator.scope=pool"],
}
SAVES = 10  # checkpoints of a training


def overrides(regime: Regime, seed: int, folder: Path) -> tiny.Tiny:
    """verl's command line for a regime; the same for every allocator."""
    sizes = regime.train
    training = tiny.Tiny(folder, sizes.rounds, sizes.prompts_per_round, sizes.group_size, sizes.prompts)
    training.extra = [
        f"data.seed={seed}",
        "data.max_prompt_length=16",
        f"data.max_response_length={sizes.max_new_tokens}",
        f"actor_rollout_ref.actor.optim.lr={sizes.learning_rate}",
        f"actor_rollout_ref.actor.optim.lr_warmup_steps={sizes.warmup}",
        "actor_rollout_ref.actor.optim.weight_decay=0.0",  # TRL's default
        f"actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu={sizes.prompts_per_round * sizes.group_size}",
        f"actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu={sizes.prompts_per_round * sizes.group_size}",
        "actor_rollout_ref.actor.checkpoint.save_contents=[hf_model]",
        f"trainer.save_freq={sizes.rounds // SAVES}",
        f"reward.custom_reward_function.path={REWARD}",
    ]
    return training


def prepare(regime: Regime, seed: int, folder: Path, start: Path) -> None:
    """The model and the prompts, where `tiny.Tiny` looks for them."""
    folder.mkdir(parents=True)
    shutil.copytree(start, folder / "model")
    tokenizer = AutoTokenizer.from_pretrained(start, padding_side="left")
    tokenizer.chat_template = tiny.TEMPLATE
    tokenizer.save_pretrained(folder / "model")
    rows = [
        {
            "data_source": puzzle.task,
            "prompt": [{"role": "user", "content": puzzle.prompt}],
            "ability": "letters",
            "reward_model": {"style": "rule", "ground_truth": puzzle.answer},
            "extra_info": {"index": i, "split": "train", "prompt": puzzle.prompt},
        }
        for i, puzzle in enumerate(pool(regime.pool, regime.train.prompts, seed))
    ]
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "train.parquet"))


def accuracy(regime: Regime, checkpoint: Path) -> float:
    """Mean probability of the right answer, over held-out prompts."""
    model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, padding_side="left")
    rates, _ = expected(model, tokenizer, heldout(regime.pool, EVALUATION.prompts, EVALUATION.seed))
    return float(np.mean(rates))


def run(regime: Regime, allocator: str, seed: int, start: Path, scratch: Path) -> TrainingRecord:
    """One training, and its accuracy at each checkpoint."""
    shutil.rmtree(scratch, ignore_errors=True)
    prepare(regime, seed, scratch, start)
    training = overrides(regime, seed, scratch)
    training.extra += FLAGS[allocator]
    torch.manual_seed(seed)
    made = tiny.train(training)
    every = regime.train.rounds // SAVES
    steps = [scratch / "checkpoints" / f"global_step_{every * (k + 1)}" for k in range(SAVES)]
    groups: dict[str, list[float]] = {}
    for row in (row for rows in made.steps for row in rows):
        groups.setdefault(row.uid, []).append(row.reward)
    spent = np.cumsum([0, *map(len, made.steps)])
    return TrainingRecord(
        label=allocator,
        seed=seed,
        rollouts=spent[::every].tolist(),
        accuracy=[accuracy(regime, start), *(accuracy(regime, step / "actor" / "huggingface") for step in steps)],
        effective_group_rate=float(np.mean([0 < sum(group) < len(group) for group in groups.values()])),
        optimizer_steps=len(made.steps),
        allocator_seconds=sum(row["data"]["rollout_allocator/seconds"] for row in made.log),
    )


def table(results: list[TrainingRecord], regime: str, trl: Path) -> str:
    """Both trainers, both allocators, and CERO less uniform seed by seed, in Markdown.

    Args:
        results: what `run` returned.
        regime: where they were trained.
        trl: folder of the results of benchmarks/sample_efficiency.py; without it TRL's lines are left out.
    """
    lines = [
        "| trainer | allocator | seeds | rollouts of each | final accuracy | less uniform's | mean accuracy "
        "| less uniform's | effective groups |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    seeds = sorted({r.seed for r in results})
    lines += _lines("verl", {(r.label, r.seed): r for r in results}, seeds)
    others = {(name, seed): load(path_of(trl, regime, name, seed)) for name in FLAGS for seed in seeds}
    return "\n".join(lines + _lines("TRL", {key: r for key, r in others.items() if r is not None}, seeds))


def _lines(trainer: str, made: Mapping[tuple[str, int], TrainingRecord], seeds: list[int]) -> list[str]:
    paired = [seed for seed in seeds if all((name, seed) in made for name in FLAGS)]
    lines = []
    for name in FLAGS if paired else ():
        mine = [made[name, seed] for seed in paired]
        finals, areas = _numbers(mine)
        less = ["", ""]
        if name != "uniform":
            base = _numbers([made["uniform", seed] for seed in paired])
            pairs = zip((finals, areas), base, strict=True)
            less = [stated(Interval.of((own - uniform).tolist()), "+") for own, uniform in pairs]
        rollouts = "/".join(sorted({str(r.rollouts[-1]) for r in mine}))
        effective = float(np.mean([r.effective_group_rate for r in mine]))
        cells = [trainer, name, str(len(paired)), rollouts, stated(Interval.of(finals.tolist())), less[0]]
        cells += [stated(Interval.of(areas.tolist())), less[1], f"{effective:.1%}"]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _numbers(runs: list[TrainingRecord]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Accuracy of each run at the end, and over the whole training."""
    curves = [np.array(run.accuracy) for run in runs]
    return np.array([curve[-1] for curve in curves]), np.array([area(curve) for curve in curves])


def main() -> None:
    """Train what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--regime", default="hard", choices=REGIMES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--report", action="store_true", help="make nothing, report what is there")
    parser.add_argument("--out", type=Path, default=RESULTS / "verl_learning")
    parser.add_argument("--trl", type=Path, default=RESULTS / "sample_efficiency", help="TRL's results, to compare")
    parser.add_argument("--page", type=Path, default=None, help="documentation to fill the table into")
    options = parser.parse_args()
    console = Console(soft_wrap=True)
    regime, folder = REGIMES[options.regime], options.out.resolve() / options.regime
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(0 if options.report else options.seeds):
        for allocator in FLAGS:
            path = folder / f"{allocator}-seed{seed}.json"
            if path.exists():
                continue
            start = cached_checkpoint(regime.model, options.out / "models").resolve()
            result = run(regime, allocator, seed, start, folder / "scratch")
            result.save(path)
            console.print(f"{allocator}, seed {seed}: {result.accuracy[-1]:.3f}")
    text = table(read_trainings([folder]), options.regime, options.trl)
    console.print(text, markup=False)
    if options.page is not None:
        console.print(f"Filled into {options.page}: {', '.join(fill(options.page, {'verl': text}))}")


if __name__ == "__main__":
    main()
