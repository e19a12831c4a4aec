"""The command line of benchmarks/through_trainers.py: the regime's sizes, and of the allocator nothing but its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.through.by_verl import command
from benchmarks.through.jobs import ALLOCATORS, Through
from cero_verl.config import allocator_config, read_flag, schedule_of


@pytest.mark.parametrize("variant", ALLOCATORS)
@pytest.mark.parametrize(("regime", "prompts"), [("hard-one-visit", 640), ("hard-two-visits", 320)])
def test_nothing_is_configured(variant: str, regime: str, prompts: int, tmp_path: Path) -> None:
    job = Through(regime, variant, 5, 0, "verl")
    training = command(job, tmp_path)
    said = {word.partition("=")[0] for word in training.extra if "rollout_allocator" in word}
    assert said == {"+rollout_allocator", "rollout_allocator.scope", "rollout_allocator.trace"}
    config = training.config()
    settings, fields = read_flag(config)
    schedule = schedule_of(config, settings, prompts)
    found = allocator_config(settings, fields, schedule)
    visits = schedule.shape(settings).visits
    assert (schedule.rounds, schedule.budget, visits) == (80, 5120, 640 / prompts)
    assert config.rollout_allocator.scope is None
    assert settings.name == job.allocator
    assert {name: getattr(found, name) for name in job.fields} == job.fields
    assert config.actor_rollout_ref.actor.optim.lr == job.settings.train.learning_rate
