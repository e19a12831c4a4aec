"""verl 0.9.0 has no checkpoint callback: what it would do is done by the flag, and by a wrap around verl's saving."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Callable
from typing import Any

CALLBACK_MODULE = "verl.trainer.ppo.checkpoint_callback"


def has_callback() -> bool:
    """Whether this verl calls back when it saves; without verl, whoever asks is told elsewhere."""
    try:
        return importlib.util.find_spec(CALLBACK_MODULE) is not None
    except ImportError:
        return True


def save_with_the_trainer() -> None:
    """Have verl's trainer save its manager's allocator after its own checkpoint, where it would not call back."""
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    if not has_callback() and not hasattr(PPOTrainer._save_checkpoint, "__wrapped__"):
        PPOTrainer._save_checkpoint = _with_allocator(PPOTrainer._save_checkpoint)


def _with_allocator(original: Callable[[Any], None]) -> Callable[[Any], None]:
    @functools.wraps(original)
    def save(self: Any) -> None:
        original(self)
        # In a process that trains twice, the second manager may be verl's own.
        manager_save = getattr(self.agent_loop_manager, "save", None)
        if manager_save is not None:
            manager_save(
                os.path.join(self.config.trainer.default_local_dir, f"global_step_{self.global_steps}"),
                self.global_steps,
            )

    return save
