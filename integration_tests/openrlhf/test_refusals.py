"""Arguments: what is refused at the start, and with what advice; what follows from OpenRLHF's own."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from openrlhf.utils.config import hierarchize

from cero_api import available_allocators
from cero_api.errors import ConfigurationError
from cero_openrlhf.arguments import add_arguments, value
from cero_openrlhf.config import OpenRLHFAllocatorConfig, allocator_config, read_settings, schedule_of
from cero_openrlhf.refusals import refuse_unsupported
from integration_tests.openrlhf import made


def parsed(*words: str) -> Any:
    """`--cero.*` words as they reach the adapter."""
    parser = argparse.ArgumentParser()
    add_arguments(parser, words)
    flat = parser.parse_args(words)
    for name, given in list(vars(flat).items()):
        setattr(flat, name, value(given))
    return hierarchize(flat)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"vllm__num_engines": None}, "set --vllm.num_engines to at least 1"),
        ({"rollout__n_samples_per_prompt": 1}, "set it to at least 2"),
        ({"reward__remote_url": None, "train__async_enable": True}, "or train synchronously"),
        ({"reward__remote_url": None, "cero__success_key": "score"}, "a reward model gives a reward and nothing else"),
        ({"reward__remote_url": None}, "give --cero.success_threshold"),
        ({"cero__max_rollouts_per_prompt": "3"}, "cannot have a mean of --rollout.n_samples_per_prompt=4"),
        ({"cero__min_rollouts_per_prompt": "5"}, "cannot have a mean of --rollout.n_samples_per_prompt=4"),
        ({"cero__allocator": "vip", "rollout__n_samples_per_prompt": 2}, "min_rollouts_per_prompt"),
        ({"cero__trace": "/dev/null/trace.jsonl"}, "cannot be written to; choose another"),
        ({"actor__num_gpus_per_node": 3}, "make it a multiple of their product"),
        ({"cero__trace": "/dev"}, "/dev is a folder; name a file in it"),
        ({"cero__module": "no.such"}, "--cero.module no.such cannot be imported"),
        ({"cero__window": "4"}, "window=4 says among how many prompts to choose, and scope=batch offers none"),
        ({"data__prompt_dataset": None}, "--data.prompt_dataset is missing"),
        (
            {"actor__num_gpus_per_node": 2, "rollout__batch_size": 8, "rollout__vllm_generate_batch_size": 3},
            "a batch of 12 rollouts (--rollout.vllm_generate_batch_size x",
        ),
        ({"cero__saturate": "2"}, "--cero.saturate is not a field of 'cero'"),
        ({"cero__allocator": "nobody"}, "no allocator is called 'nobody'"),
        ({"cero__success_threshold": "nan"}, "give the lowest reward that is a success"),
        ({"cero__reward_range": ["1", "0"]}, "lowest < highest"),
        ({"cero__reward_range": ["0", "1"], "cero__success_threshold": "1"}, "not both"),
        ({"cero__scope": "world"}, "'batch', 'window' or 'pool'"),
        ({"cero__cost": "tokens"}, "with scope=batch, so it would decide nothing; choose scope=window"),
        ({"cero__token_budget": "9000"}, "is kept by the size of rounds"),
    ],
)
def test_refused(changes: dict[str, Any], advice: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        refuse_unsupported(made.args(**changes))
    assert advice in str(refusal.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"reward__remote_url": None, "cero__success_threshold": "0.5"},
        {"reward__remote_url": None, "train__agent_func_path": "agent.py", "train__async_enable": True},
        {"train__async_enable": True},
        {"actor__num_gpus_per_node": 2},
        {"cero__scope": "window", "cero__window": "4"},  # however few prompts a batch has
    ],
)
def test_not_refused(changes: dict[str, Any]) -> None:
    assert refuse_unsupported(made.args(**changes)).allocator == "cero"


def test_words_become_settings() -> None:
    words = (
        "--cero.scope pool --cero.reward_range -1 1 --cero.fresh_start --cero.saturation 2 --cero.pacing fixed "
        "--cero.prior 1 3 --cero.max_rollouts_per_prompt 16"
    )
    settings, fields = read_settings(parsed(*words.split()))
    assert settings == OpenRLHFAllocatorConfig(scope="pool", reward_range=(-1, 1), fresh_start=True)
    schedule = schedule_of(made.args(), rows=40, num_prompts=40)
    config = allocator_config(settings, fields, schedule).model_dump()
    expected = {"saturation": 2.0, "pacing": "fixed", "prior": (1.0, 3.0), "max_rollouts_per_prompt": 16}
    assert {name: config[name] for name in expected} == expected


def test_no_words_are_the_defaults() -> None:
    assert read_settings(parsed()) == (OpenRLHFAllocatorConfig(scope="window"), {"belief": "features"})


def test_budget_and_rounds_follow_the_training() -> None:
    args = made.args(train__num_episodes=3, rollout__batch_size=4)
    schedule = schedule_of(args, rows=10, num_prompts=9)  # batches of 4, 4 and 2 in each episode
    config = allocator_config(OpenRLHFAllocatorConfig(), {}, schedule)
    assert (config.num_prompts, config.rounds, config.budget) == (9, 9, 3 * 10 * 4)
    filtered = schedule_of(made.args(algo__dynamic_filtering_enable=True), rows=10, num_prompts=9)
    assert allocator_config(OpenRLHFAllocatorConfig(), {}, filtered).budget == 3 * 10 * 4
    assert allocator_config(OpenRLHFAllocatorConfig(reserve=1.5), {}, filtered).budget == 60


@pytest.mark.parametrize("scope", ["batch", "pool"])
@pytest.mark.parametrize("allocator", available_allocators(waves=1))
def test_every_allocator_has_a_configuration(allocator: str, scope: Any) -> None:
    settings = OpenRLHFAllocatorConfig(allocator=allocator, scope=scope)
    assert allocator_config(settings, {}, schedule_of(made.args(), rows=10, num_prompts=10)).budget == 40


def test_a_budget_that_ends_early_is_refused() -> None:
    schedule = schedule_of(made.args(), rows=40, num_prompts=40)
    with pytest.raises(ConfigurationError, match=r"--cero\.budget=100 ends before the training, which generates 160"):
        allocator_config(OpenRLHFAllocatorConfig(), {"budget": "100"}, schedule)


@pytest.mark.parametrize("budget", ["161", "200", "480", "100000"])
def test_a_larger_budget_is_a_longer_plan(budget: str) -> None:
    schedule = schedule_of(made.args(), rows=40, num_prompts=40)
    config = allocator_config(OpenRLHFAllocatorConfig(), {"budget": budget}, schedule)
    assert config.budget == int(budget)
    assert config.rounds == max(10, -(-int(budget) // 16))


def test_an_empty_training_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="nothing would be trained"):
        allocator_config(OpenRLHFAllocatorConfig(), {}, schedule_of(made.args(), rows=0, num_prompts=0))


def test_rounds_of_other_sizes_than_openrlhf_generates_are_refused() -> None:
    schedule = schedule_of(made.args(), rows=10, num_prompts=10)  # batches of 4, 4 and 2
    allocator_config(OpenRLHFAllocatorConfig(), {"pacing": ("16", "16", "8")}, schedule)
    with pytest.raises(ConfigurationError, match=r"pacing asks for 24 rollouts in the first 3 rounds.*leave it out"):
        allocator_config(OpenRLHFAllocatorConfig(), {"pacing": ("8", "8", "8")}, schedule)
