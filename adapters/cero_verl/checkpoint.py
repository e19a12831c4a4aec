"""verl's checkpoint callback: judges a training before a model is loaded, and saves the allocator with it."""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from cero_verl.config import only_validates
from cero_verl.guard import check_verl
from cero_verl.preparing import prepare
from cero_verl.refusals import own_callback


class AllocatorCheckpoint(CheckpointCallback):
    """Refuses a training that cannot work, and saves the allocator.

    verl builds it before it loads a model or starts a worker, so that a refusal costs seconds: of the configuration,
    the train dataset, the checkpoint that is resumed, the file of the trace.

    Args:
        config: verl's.

    Raises:
        ConfigurationError: an option that would go wrong; the message says what to change.
        PromptError: the dataset does not tell its prompts apart.
        CheckpointError: the checkpoint that verl resumes has no allocator state, or one that does not fit.
    """

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        check_verl()
        own = None if only_validates(config) else own_callback(prepare(config).settings)
        self._own = None if own is None else own(config=config)

    def on_save(
        self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **kwargs: Any
    ) -> None:
        """Write the allocator's state beside verl's; then call the user's own callback, if there is one."""
        trainer.agent_loop_manager.save(checkpoint_dir, global_step)
        if self._own is not None:
            self._own.on_save(
                trainer=trainer,
                global_step=global_step,
                checkpoint_dir=checkpoint_dir,
                async_save=async_save,
                **kwargs,
            )
