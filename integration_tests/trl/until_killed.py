"""A training that saves at every step and goes on from its newest whole checkpoint; a program, to be killed."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

from integration_tests.trl import tiny


def whole_checkpoint(folder: Path) -> Path | None:
    """The newest one that was written to its end; transformers writes this file last."""
    steps = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in [path for path in steps if not (path / "trainer_state.json").exists()]:
        shutil.rmtree(path)
    return next((path for path in reversed(steps) if path.exists()), None)


def main(folder: Path, steps: int) -> None:
    warnings.simplefilter("ignore")
    arguments = {"max_steps": steps, "save_strategy": "steps", "save_steps": 1}
    trainer = tiny.trainer(
        folder, tiny.first_is_digit, args=arguments, allocator="cero", scope="pool", trace=folder / "trace.jsonl"
    )
    checkpoint = whole_checkpoint(folder)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
