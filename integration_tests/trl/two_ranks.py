"""One of two gloo ranks; `test_ranks.py` runs this under torchrun and reads what it writes."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from cero_api.errors import CeroError
from integration_tests.trl import tiny

# 4 rows on each rank; with counts 5 and 3 the first group straddles them. Two steps to a round.
HALVED = {"per_device_train_batch_size": 2, "steps_per_generation": 2, "max_steps": 6, "save_steps": 1}


def report(trainer: Any) -> dict[str, Any]:
    return {
        "records": [[r.round, r.prompt_ids.tolist(), r.counts.tolist()] for r in trainer.records],
        "rows": [batch["prompt_ids"].tolist() for batch in trainer.batches],
        "rewards": [rewards[:, 0].tolist() for rewards in trainer.rewards],
        "advantages": [batch["advantages"].tolist() for batch in trainer.batches],
        "logged": list(trainer._logs["advantages"]),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "weights": float(np.abs(tiny.weights(trainer)).sum()),
        "exposure": trainer.allocator.exposure().tolist(),
        "allocator": trainer.allocator.metrics(),
    }


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    if transformers.__version__ < "5":  # it restores an optimizer to "cpu:0", which torch has no way to
        torch.serialization.register_package(5, lambda _: None, lambda storage, at: storage if at == "cpu:0" else None)
    result: dict[str, Any] = {}

    options: dict[str, Any] = {"per_device_train_batch_size": 4, "max_steps": 2}
    uneven = tiny.trainer(folder / "uneven", allocator=tiny.Scripted([[5, 3], [1, 7]]), args=options)
    uneven.train()
    rank = uneven.accelerator.process_index
    result["uneven"] = report(uneven)

    for name, kind in (("stock", {"stock": True}), ("uniform", {"allocator": "uniform"})):
        even = tiny.trainer(folder / name, args=options, **kind)
        even.train()
        result[name] = {
            "advantages": [batch["advantages"].tolist() for batch in even.batches],
            "weights": float(np.abs(tiny.weights(even)).sum()),
        }

    saving = {**HALVED, "save_strategy": "steps"}
    whole = tiny.trainer(folder / "whole", tiny.first_is_digit, args=saving)
    whole.train()
    result["whole"] = report(whole)
    rest = tiny.trainer(folder / "rest", tiny.first_is_digit, args={**saving, "save_steps": 100})
    rest.train(resume_from_checkpoint=str(folder / "whole" / "checkpoint-3"))
    result["rest"] = report(rest)

    # A window, and a reward function that raises on one of the ranks alone.
    calls: list[int] = []

    def judge(completions: list[str], row: list[int], **_: Any) -> list[float]:
        calls.append(len(completions))
        if rank == 1 and len(calls) > 1 and any(text[:1].isdigit() for text in completions):
            raise TimeoutError
        return [float(i % 2 and len(text) % 2) for i, text in zip(row, completions, strict=True)]

    window: dict[str, Any] = {"scope": "window", "allocator_config": {"cost": "tokens"}}
    window["train_dataset"] = tiny.dataset(48)
    window["features"] = np.arange(48)[:, None] % 2
    chosen = tiny.trainer(folder / "window", judge, args={**saving, "max_steps": 8, "save_steps": 5}, **window)
    chosen.train()
    result["window"] = report(chosen)
    result["failed"] = chosen._forgiving.failed
    again = tiny.trainer(folder / "window", tiny.first_is_digit, args={**saving, "max_steps": 10}, **window)
    again.train(resume_from_checkpoint=str(folder / "window" / "checkpoint-5"))
    result["longer"] = report(again)

    # Two waves a round, each halved.
    pilot: dict[str, Any] = {"scope": "window", "allocator_config": {"pilot": 1, "belief": "pooled"}}
    pilot |= {"train_dataset": tiny.dataset(48), "reward_range": (0, 1)}
    waves = tiny.trainer(folder / "waves", tiny.digits, args={**saving, "max_steps": 6, "save_steps": 3}, **pilot)
    waves.train()
    result["waves"] = report(waves)
    rest = tiny.trainer(folder / "waves_rest", tiny.digits, args={**saving, "max_steps": 6, "save_steps": 100}, **pilot)
    rest.train(resume_from_checkpoint=str(folder / "waves" / "checkpoint-3"))
    result["waves_rest"] = report(rest)

    drifted = tiny.trainer(folder / "drifted", allocator=tiny.Scripted([[4 + rank, 4 - rank]]), args=options)
    try:
        drifted.train()
    except CeroError as error:
        result["drifted"] = str(error)

    (folder / f"rank{rank}.json").write_text(json.dumps(result))
    sys.stdout.flush()
    torch.distributed.barrier()
    os._exit(0)  # gloo's teardown can hang, with all done and written


if __name__ == "__main__":
    main(Path(sys.argv[1]))
