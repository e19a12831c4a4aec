"""OpenRLHF's asynchronous trainer: one actor generates, with the allocator; another trains, by true groups."""

from __future__ import annotations

from typing import Any

import ray
from openrlhf.trainer import ppo_trainer_async

from cero_api.adapting import plain
from cero_openrlhf.advantages import GroupedExperienceMaker
from cero_openrlhf.refusals import refuse_unsupported
from cero_openrlhf.trainer import generate_with_allocator, logged, per_prompt

_PPOTrainerAsync: Any = plain(ppo_trainer_async.PPOTrainerAsync)
_GenerateSamplesActor: Any = plain(ppo_trainer_async.GenerateSamplesActor)
_TrainingActor: Any = plain(ppo_trainer_async.TrainingActor)

# Each class repeats the methods that Ray calls: it copies inherited ones by value, and with them names and classes of
# another process.


class CeroGenerateSamplesActor(_GenerateSamplesActor):
    """`GenerateSamplesActor` with an allocator."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.books = generate_with_allocator(self)

    def get_max_steps(self) -> int:
        """As OpenRLHF's."""
        steps: int = super().get_max_steps()
        return steps

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As OpenRLHF's; the loader restores the allocator too."""
        super().load_state_dict(state_dict)

    def fit(self, episode: int, total_consumed_prompts: int) -> None:
        """As OpenRLHF's."""
        super().fit(episode, total_consumed_prompts)


class CeroTrainingActor(_TrainingActor):
    """`TrainingActor` with advantages by true groups."""

    experience_maker: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.experience_maker = GroupedExperienceMaker(self.experience_maker, refuse_unsupported(self.args))

    def init_checkpoint_states(self) -> dict[str, Any]:
        """As OpenRLHF's."""
        states: dict[str, Any] = super().init_checkpoint_states()
        return states

    def restore_best_checkpoint_state(self, checkpoint_states: Any) -> None:
        """As OpenRLHF's."""
        super().restore_best_checkpoint_state(checkpoint_states)

    def fit(self, global_step: int = 0) -> None:
        """As OpenRLHF's."""
        super().fit(global_step)

    def broadcast_to_vllm(self) -> None:
        """As OpenRLHF's."""
        super().broadcast_to_vllm()

    def train_step(self, rollout_samples: Any, global_step: int) -> tuple[dict[str, Any], int]:
        """As OpenRLHF's, with the allocator's numbers at generation in the step's record."""
        status, global_step = super().train_step(rollout_samples, global_step)
        status.update(logged(rollout_samples.metrics))
        return status, global_step

    def _compute_rollout_stats(self, experiences: Any) -> dict[str, Any]:
        return {**super()._compute_rollout_stats(experiences), **per_prompt(experiences)}


class CeroPPOTrainerAsync(_PPOTrainerAsync):
    """`PPOTrainerAsync` that starts the two actors above.

    Args:
        *args: as for OpenRLHF's.
        **kwargs: as for OpenRLHF's.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # OpenRLHF looks these up in its module, in this very process.
        ppo_trainer_async.GenerateSamplesActor = ray.remote(CeroGenerateSamplesActor)
        ppo_trainer_async.TrainingActor = ray.remote(CeroTrainingActor)
        super().__init__(*args, **kwargs)

    def fit(self) -> None:
        """As OpenRLHF's."""
        super().fit()

    def get_max_steps(self) -> int:
        """As OpenRLHF's."""
        steps: int = super().get_max_steps()
        return steps
