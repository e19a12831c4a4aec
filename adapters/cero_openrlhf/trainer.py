"""OpenRLHF's synchronous trainer, with the allocator's generator, books and groups in their places."""

from __future__ import annotations

from typing import Any

from openrlhf.trainer import ppo_trainer
from openrlhf.utils.logging_utils import init_logger

from cero_api import BaseAllocator, RolloutAllocator, make_allocator
from cero_api.adapting import by_features, idle_reasons, informed, plain, run_identity, start_line
from cero_api.trace import TraceWriter
from cero_openrlhf.advantages import GroupedExperienceMaker, reward_mean_per_prompt
from cero_openrlhf.books import Books
from cero_openrlhf.checkpoint import LoaderWithBooks
from cero_openrlhf.config import OpenRLHFAllocatorConfig, allocator_config, read_settings, schedule_of
from cero_openrlhf.counts import AllocatedSamplesGenerator
from cero_openrlhf.early import DATASET
from cero_openrlhf.prompts import DatasetIndex
from cero_openrlhf.refusals import refuse_unsupported

logger = init_logger(__name__)

# OpenRLHF exports Ray actors; these are the classes in them.
_PPOTrainer: Any = plain(ppo_trainer.PPOTrainer)


class CeroPPOTrainer(_PPOTrainer):
    """`PPOTrainer` with rollouts per prompt decided by an allocator.

    Args:
        *args: as for OpenRLHF's.
        **kwargs: as for OpenRLHF's.

    Raises:
        ConfigurationError: an option that would go wrong; the message says what to change.
    """

    experience_maker: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = refuse_unsupported(self.args)
        self.books = generate_with_allocator(self)
        self.experience_maker = GroupedExperienceMaker(self.experience_maker, settings, self.books)

    # Ray copies inherited methods by value; these are what it calls.

    def get_max_steps(self) -> int:
        """As OpenRLHF's."""
        steps: int = super().get_max_steps()
        return steps

    def fit(self, global_step: int = 0) -> None:
        """As OpenRLHF's."""
        super().fit(global_step)

    def train_step(self, rollout_samples: Any, global_step: int) -> tuple[dict[str, Any], int]:
        """As OpenRLHF's, with the allocator's numbers in the step's record."""
        status, global_step = super().train_step(rollout_samples, global_step)
        status.update(logged(self.books.metrics()))
        return status, global_step

    def _compute_rollout_stats(self, experiences: Any) -> dict[str, Any]:
        return {**super()._compute_rollout_stats(experiences), **per_prompt(experiences)}


def generate_with_allocator(owner: Any) -> Books:
    """Replace the sample generator and the prompt loader of whoever generates by the allocator's.

    Args:
        owner: has OpenRLHF's `samples_generator` and `prompts_dataloader`.
    """
    stock = owner.samples_generator
    settings, fields = read_settings(stock.args)
    dataset = owner.prompts_dataloader.dataset
    index = DatasetIndex(dataset)
    schedule = schedule_of(stock.args, len(dataset), len(index))
    config = allocator_config(settings, fields, schedule)
    known = {"features": index.features()} if by_features(config) else {}
    allocator = make_allocator(settings.allocator, config, **known)
    idle = idle_reasons(config, schedule.shape(settings), informed=informed(allocator))
    if idle and isinstance(allocator, BaseAllocator):
        allocator.idleness_is_known()  # by whoever reads what the launcher says
    books = Books(allocator, _trace(settings, allocator, index.fingerprint), settings, settings.success_key)
    loader = LoaderWithBooks(
        owner.prompts_dataloader,
        books,
        index.fingerprint,
        settings.fresh_start,
        stock.args.ckpt.path,
        getattr(stock.args, DATASET, None),
    )
    owner.prompts_dataloader = loader
    owner.samples_generator = AllocatedSamplesGenerator(stock, loader, books, index, settings)
    judge = None if settings.success_key == "reward" else settings.success_key
    scope, mean = settings.scope, schedule.group_size
    said = start_line(settings.allocator, allocator, scope=scope, mean=mean, rule=settings, judge=judge)
    logger.info(f"{said} ({len(dataset)} rows in {schedule.rounds} batches)")
    return books


def _trace(settings: OpenRLHFAllocatorConfig, allocator: RolloutAllocator, pool: str) -> TraceWriter | None:
    if settings.trace is None:
        return None
    metadata = run_identity(allocator, trainer="openrlhf", pool=pool)
    return TraceWriter(settings.trace, num_prompts=allocator.config.num_prompts, metadata=metadata)


def logged(numbers: dict[str, float]) -> dict[str, float]:
    """Numbers by the names that they have in OpenRLHF's log."""
    return {f"rollout_allocator/{name}": value for name, value in numbers.items()}


def per_prompt(experiences: Any) -> dict[str, float]:
    """The reward that does not depend on the counts, beside OpenRLHF's `rollout/reward_mean`, which does."""
    return {"rollout/reward_mean_per_prompt": reward_mean_per_prompt(experiences)}
