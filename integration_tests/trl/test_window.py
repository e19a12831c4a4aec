"""A window in TRL: the allocator chooses among more prompts than fit, by what is known of them from the first round."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from cero_api import make_allocator
from cero_api.errors import CheckpointError, ConfigurationError
from cero_trl import CeroGRPOTrainer, RoundRecord
from integration_tests.trl import tiny

ABSENT: dict[str, Any] = {"model": "nobody/has-this-model"}


def dataset(rows: int = 48) -> Dataset:
    kinds = ["out of reach" if i % 2 else "within reach" for i in range(rows)]
    return Dataset.from_dict(
        {
            "prompt": [f"{i % 10}+{i // 10}=" for i in range(rows)],
            "source": kinds,
            "rate": [0.5 - 0.5 * (i % 2) for i in range(rows)],
        }
    )


def half_in_vain(prompts: list[str], completions: list[str], source: list[str], **_: Any) -> list[float]:
    """Prompts of one source are never solved; others half of the time."""
    return [float(kind == "within reach" and len(text) % 2) for kind, text in zip(source, completions, strict=True)]


def trained(folder: Path, resume: Path | None = None, **options: Any) -> tuple[CeroGRPOTrainer, list[RoundRecord]]:
    rounds: list[RoundRecord] = []
    own = {"max_steps": options.pop("steps", 10), "save_steps": options.pop("save_steps", 500)}
    trainer = CeroGRPOTrainer(
        model=options.pop("model", None) or tiny.model(),
        reward_funcs=half_in_vain,
        args=tiny.arguments(folder, save_strategy="steps", **own, **options.pop("args", {})),
        train_dataset=dataset(),
        processing_class=tiny.tokenizer(),
        on_round=rounds.append,
        **{"scope": "window", **options},
    )
    trainer.train(resume_from_checkpoint=None if resume is None else str(resume))
    return trainer, rounds


def share_within_reach(rounds: list[RoundRecord]) -> float:
    served = np.concatenate([np.repeat(part.prompt_ids, part.counts) for part in rounds])
    return float((served % 2 == 0).mean())


def test_the_source_of_a_prompt_decides_before_its_first_visit(tmp_path: Path) -> None:
    trainer, rounds = trained(tmp_path, allocator_config={"window": 4})
    assert trainer.allocator.config.offer == "window"
    assert trainer.allocator.config.belief == "features"
    assert {int(part.counts.sum()) for part in rounds} == {trainer.schedule.rollouts}
    assert all((part.counts == trainer.schedule.group_size).all() for part in rounds)  # whole groups
    assert share_within_reach(rounds[3:]) > 0.8
    assert trainer.allocator.metrics()["tokens"] > 0


@pytest.mark.parametrize("how", ["array", "tensor", "column"])
def test_features_of_ones_own_decide(tmp_path: Path, how: str) -> None:
    """An embedding, say; here what the rewards go by, hidden among noise."""
    embedding = np.random.default_rng(0).normal(size=(48, 3))
    embedding[:, 1] = np.arange(48) % 2
    given = {"array": embedding, "tensor": torch.as_tensor(embedding), "column": "rate"}[how]
    trainer, rounds = trained(tmp_path, features=given, allocator_config={"window": 4})
    assert share_within_reach(rounds[3:]) > 0.8
    known = trainer.allocator.knowledge.entries()["features"]  # type: ignore[attr-defined]  # of a BaseAllocator
    if how == "column":
        np.testing.assert_array_equal(known[:, 1:], np.array(dataset()["rate"])[:, None])  # beside the length
    else:
        np.testing.assert_allclose(known, embedding, rtol=1e-6)


def test_offline_rates_of_a_column_decide_in_the_first_round(tmp_path: Path) -> None:
    known: dict[str, Any] = {"offline_rates": "rate", "features": np.zeros((48, 1))}
    _, rounds = trained(tmp_path, **known, steps=2, allocator_config={"window": 4})
    assert share_within_reach(rounds) == 1.0


def test_lengths_are_learned_where_tokens_cost(tmp_path: Path) -> None:
    trainer, _ = trained(tmp_path, allocator_config={"cost": "tokens"})
    assert trainer.allocator.state_dict()["parts.lengths.rollouts"].sum() == trainer.schedule.budget


def test_completions_that_are_cut_short_are_counted_though_their_mask_is_cleared(tmp_path: Path) -> None:
    cleared, rounds = trained(tmp_path, args={"mask_truncated_completions": True}, steps=2)
    longest = cleared.args.max_completion_length
    assert all((part.tokens <= longest * part.counts).all() and (part.tokens > 0).all() for part in rounds)
    assert cleared.allocator.metrics()["tokens"] == sum(part.tokens.sum() for part in rounds)


def test_what_is_wrong_is_said_before_a_model_is_loaded(tmp_path: Path) -> None:
    for options, advice in (
        ({"offline_rates": "no_such"}, "no column 'no_such'"),
        ({"features": np.full((48, 2), np.nan)}, "fill them in"),
        ({"offline_rates": np.full(48, 50.0)}, "divide percentages by 100"),
        ({"features": np.zeros((47, 2))}, "48"),
    ):
        with pytest.raises(ConfigurationError, match=advice):
            trained(tmp_path, **ABSENT, **options)


def dealt(rounds: list[RoundRecord]) -> list[Any]:
    return [(part.round, part.prompt_ids.tolist(), part.counts.tolist(), part.successes.tolist()) for part in rounds]


HALVED = {"steps_per_generation": 2, "per_device_train_batch_size": 4}


@pytest.mark.parametrize(("args", "step"), [({}, 4), (HALVED, 5)])
def test_a_resumed_window_deals_on(tmp_path: Path, args: dict[str, Any], step: int) -> None:
    tokens = {"cost": "tokens"}
    trainer, whole = trained(tmp_path / "whole", save_steps=step, args=args, allocator_config=tokens)
    saved = tmp_path / "whole" / f"checkpoint-{step}"
    again, rest = trained(tmp_path / "rest", saved, args=args, allocator_config=tokens)
    assert 0 < len(rest) < len(whole)
    assert dealt(rest) == dealt(whole[-len(rest) :])
    assert (tiny.weights(again) == tiny.weights(trainer)).all()
    assert again.allocator.metrics() == trainer.allocator.metrics()


def test_a_window_goes_on_for_longer(tmp_path: Path) -> None:
    """Its walk, its features and what was learned by them go on; the rest of the budget is planned anew."""
    short, _ = trained(tmp_path, steps=6, save_steps=6)
    long, rest = trained(tmp_path, tmp_path / "checkpoint-6", steps=10)
    assert [part.round for part in rest] == [6, 7, 8, 9]
    assert share_within_reach(rest) > 0.8
    assert long.allocator.metrics()["budget_remaining"] == 0
    assert (long.allocator.exposure() >= short.allocator.exposure()).all()
    _, nothing = trained(tmp_path, tmp_path / "checkpoint-6", steps=6)  # which is over
    assert nothing == []
    short.train()
    assert short.allocator.metrics()["round"] == 12
    assert short.allocator.metrics()["budget_remaining"] == 0


def test_a_window_that_knows_something_else_is_refused(tmp_path: Path) -> None:
    """Before a model is loaded, though the settings are the same; or begun anew, where that is asked for."""
    saved = tmp_path / "checkpoint-6"
    _, whole = trained(tmp_path, steps=8, save_steps=6, offline_rates="rate")
    others: list[dict[str, Any]] = [
        {"offline_rates": np.full(48, 0.25), "steps": 8},
        {"offline_rates": "rate", "features": np.arange(48), "steps": 8},
        {
            "offline_rates": "rate",
            "features": np.arange(48),
            "steps": 9,
        },  # a longer one would keep the old without a word
    ]
    for other in others:
        with pytest.raises(CheckpointError, match=r"was told other (features|offline rates) of its prompts"):
            trained(tmp_path, args={"resume_from_checkpoint": str(saved)}, **ABSENT, **other)
    _, fresh = trained(tmp_path, saved, fresh_start=True, **others[0])
    assert [part.round for part in fresh] == [0, 1]
    _, same = trained(tmp_path, saved, steps=8, offline_rates="rate")
    assert dealt(same) == dealt(whole[6:])


@pytest.mark.parametrize(
    ("allocator", "scope"),
    [("cero", "window"), ("mopps", "window"), ("greso", "pool"), ("vip", "batch"), ("uniform", "batch")],
)
def test_a_method_brings_its_usual_scope(allocator: str, scope: str, tmp_path: Path) -> None:
    trainer, rounds = trained(tmp_path, allocator=allocator, scope=None, steps=1)
    assert trainer.cero_config.scope == scope
    assert trainer.allocator.config.offer == ("window" if scope == "window" else "pool")
    if allocator == "cero":
        assert (trainer.allocator.config.window, trainer.allocator.config.variety) == (8, 0.25)
        assert trainer.allocator.config.belief == "features"
    assert rounds[0].counts.sum() == trainer.schedule.rollouts


def test_an_allocator_of_ones_own_has_the_scope_that_it_was_made_for(tmp_path: Path) -> None:
    for offer, scope in (("window", "window"), ("pool", "batch")):
        cap = 4 if offer == "window" else 8
        allocator = make_allocator("cero", num_prompts=48, rounds=1, budget=8, max_rollouts_per_prompt=cap, offer=offer)
        trainer, _ = trained(tmp_path, allocator=allocator, scope=None, steps=1)
        assert trainer.cero_config.scope == scope


@pytest.mark.parametrize(("scope", "name"), [("batch", "vip"), ("window", "vip"), ("batch", "cero")])
def test_a_gaussian_process_gets_features_by_its_name_alone(scope: str, name: str, tmp_path: Path) -> None:
    """In a batch, too, where none are made otherwise; it learns by them which source is out of reach."""
    settings: dict[str, Any] = {"belief": "gp"}
    trainer, rounds = trained(tmp_path, allocator=name, allocator_config=settings, scope=scope, steps=12)
    expected, untried = trainer.allocator.success_rate(), trainer.allocator.exposure() == 0
    assert expected[::2].mean() > 1.5 * expected[1::2].mean()
    assert scope == "batch" or expected[::2][untried[::2]].min() > expected[1::2][untried[1::2]].max()
    assert scope == "batch" or share_within_reach(rounds[4:]) > 0.6
