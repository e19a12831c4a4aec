"""Trainers that people derive, above and below ours: their rewards, rows, advantages and keywords."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trl import GRPOTrainer

from cero_api import group_advantages
from cero_api.errors import ConfigurationError, PromptError
from cero_trl import CeroGRPOTrainer
from integration_tests.trl import tiny

SCRIPT = [[5, 3], [2, 6]]


def made(kind: type, folder: Path, rewards: Any = tiny.digits, **kwargs: Any) -> Any:
    args = {"max_steps": 2, **kwargs.pop("args", {})}
    return kind(
        model=tiny.model(),
        reward_funcs=rewards,
        args=tiny.arguments(folder, **args),
        train_dataset=tiny.dataset(),
        processing_class=tiny.tokenizer(),
        **{"allocator": tiny.Scripted(SCRIPT), **kwargs},
    )


class Keeping:
    """Above everything: what the trainer made of a batch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.batches: list[dict[str, torch.Tensor]] = []
        super().__init__(*args, **kwargs)

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)  # type: ignore[misc]  # a mixin
        self.batches.append({key: value.clone() for key, value in output.items() if isinstance(value, torch.Tensor)})
        return output


def test_rewards_shaped_above_are_those_of_advantages_and_successes(tmp_path: Path) -> None:
    class Shaped(CeroGRPOTrainer):
        """Whoever writes more gets less, and a shaped reward above 0.25 is a success."""

        def _calculate_rewards(self, *args: Any) -> torch.Tensor:
            rewards = super()._calculate_rewards(*args)
            lengths = torch.tensor([[float(len(ids))] for ids in args[-1]])
            used.append(rewards - 0.2 * lengths)
            return used[-1]

    class Kept(Keeping, Shaped):
        pass

    used: list[torch.Tensor] = []
    records: list[Any] = []
    trainer = made(Kept, tmp_path, success_threshold=-0.5, on_round=records.append)
    trainer.train()
    for batch, rewards, counts, record in zip(trainer.batches, used, SCRIPT, records, strict=True):
        shaped = rewards[:, 0].double().numpy()
        expected = group_advantages(shaped, np.repeat([0, 1], counts))
        np.testing.assert_allclose(batch["advantages"].numpy(), expected, rtol=1e-4, atol=1e-4)
        assert np.abs(expected).sum() > 0
        assert record.successes.sum() == (shaped >= -0.5).sum()


@pytest.mark.parametrize("change", ["bfloat16", "gradient", "columns"])
def test_whatever_tensor_an_override_returns(tmp_path: Path, change: str) -> None:
    class Mine(CeroGRPOTrainer):
        def _calculate_rewards(self, *args: Any) -> torch.Tensor:
            rewards = super()._calculate_rewards(*args)
            if change == "bfloat16":
                return rewards.to(torch.bfloat16)
            if change == "gradient":
                return rewards.clone().requires_grad_()
            return torch.where(rewards > 0.5, rewards, torch.nan)

    records: list[Any] = []
    trainer = made(Mine, tmp_path, success_threshold=0.4, on_round=records.append)
    trainer.train()
    assert len(records) == 2
    assert sum(record.successes.sum() for record in records) > 0
    assert np.isfinite(tiny.weights(trainer)).all()


def test_advantages_changed_above_are_kept(tmp_path: Path) -> None:
    class Halved(CeroGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            before.append(output["advantages"].clone())
            output["advantages"] = output["advantages"] / 2
            return output

    class Kept(Keeping, Halved):
        pass

    before: list[torch.Tensor] = []
    trainer = made(Kept, tmp_path)
    trainer.train()
    for batch, whole in zip(trainer.batches, before, strict=True):
        assert torch.equal(batch["advantages"], whole / 2)
        assert whole.abs().sum() > 0


def test_advantages_changed_below_are_refused(tmp_path: Path) -> None:
    class Theirs(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            output = super()._generate_and_score_completions(inputs)
            output["advantages"] = output["advantages"] / 2
            return output

    class Wrong(CeroGRPOTrainer, Theirs):
        pass

    class Right(Theirs, CeroGRPOTrainer):
        pass

    with pytest.raises(ConfigurationError, match=r"class Yours\(Theirs, CeroGRPOTrainer\)"):
        made(Wrong, tmp_path).train()
    trainer = made(Right, tmp_path)
    trainer.train()
    assert trainer.state.global_step == 2


def test_a_class_below_that_changes_no_advantages_is_welcome(tmp_path: Path) -> None:
    class Theirs(GRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            seen.append([row["row"] for row in inputs])
            return super()._generate_and_score_completions(inputs)

        def _calculate_rewards(self, *args: Any) -> torch.Tensor:
            return 2 * super()._calculate_rewards(*args)

    class Mine(Keeping, CeroGRPOTrainer, Theirs):
        pass

    seen: list[list[int]] = []
    trainer = made(Mine, tmp_path, args={"scale_rewards": "none"})
    trainer.train()
    assert [sorted(map(rows.count, set(rows))) for rows in seen] == [[3, 5], [2, 6]]
    half = made(type("Plain", (Keeping, CeroGRPOTrainer), {}), tmp_path, args={"scale_rewards": "none"})
    half.train()
    assert torch.equal(trainer.batches[0]["advantages"], 2 * half.batches[0]["advantages"])


def test_overrides_see_the_rows_that_are_generated_from(tmp_path: Path) -> None:
    class Mine(CeroGRPOTrainer):
        def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
            seen["step"].append([(row["prompt"], row["row"], len(row), dict(row)) for row in inputs])
            return super().training_step(model, inputs, num_items_in_batch)

        def _prepare_inputs(self, generation_batch: Any) -> Any:
            seen["prepare"].append([row["row"] for row in generation_batch])
            return super()._prepare_inputs(generation_batch)

        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            assert all(type(row) is dict and row.keys() == {"prompt", "row"} for row in inputs)
            output = super()._generate_and_score_completions(inputs)
            texts = self.processing_class.batch_decode(output["prompt_ids"], skip_special_tokens=True)
            assert texts == [row["prompt"] for row in inputs]  # row by row, in the order of the output
            seen["generate"].append([row["row"] for row in inputs])
            return output

    seen: dict[str, list[Any]] = {"step": [], "prepare": [], "generate": []}
    made(Mine, tmp_path).train()
    # As TRL's loader draws them, and as they are dealt.
    assert [[rows.count(row) for row in dict.fromkeys(rows)] for rows in seen["prepare"]] == [[4, 4], [4, 4]]
    assert [[rows.count(row) for row in dict.fromkeys(rows)] for rows in seen["generate"]] == SCRIPT
    prompt, row, size, whole = seen["step"][0][0]
    assert (prompt, size, whole) == (tiny.dataset()["prompt"][row], 2, {"prompt": prompt, "row": row})


def test_what_an_override_does_to_the_dealt_rows_is_kept(tmp_path: Path) -> None:
    class Mine(CeroGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return super()._generate_and_score_completions([{**row, "prompt": "9+9=", "note": "x"} for row in inputs])

    seen: list[tuple[list[str], list[str]]] = []

    def spy(prompts: list[str], completions: list[str], note: list[str], **_: Any) -> list[float]:
        seen.append((prompts, note))
        return tiny.digits(completions)

    made(Mine, tmp_path, spy).train()
    assert seen == [(["9+9="] * 8, ["x"] * 8)] * 2


def test_rows_that_go_missing_and_rows_of_ones_own(tmp_path: Path) -> None:
    class Dropping(CeroGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return super()._generate_and_score_completions(inputs[:4])

    class Own(CeroGRPOTrainer):
        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return super()._prepare_inputs([{"prompt": "1+1="}] * 8)

    with pytest.raises(ConfigurationError, match="4 rows were handed on where 8 were dealt"):
        made(Dropping, tmp_path).train()
    with pytest.raises(PromptError, match="change rows in _generate_and_score_completions"):
        made(Own, tmp_path).train()


def test_a_round_is_generated_once(tmp_path: Path) -> None:
    """The second time TRL would take blocks of num_generations for groups, and the allocator would hear nothing."""

    class Twice(CeroGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            super()._generate_and_score_completions(inputs)
            again: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return again

    with pytest.raises(ConfigurationError, match=r"no allocator dealt: a class calls _generate_and_score_.* twice"):
        made(Twice, tmp_path).train()


def test_rows_that_no_allocator_dealt_are_not_trained_on(tmp_path: Path) -> None:
    class Past(CeroGRPOTrainer):
        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return GRPOTrainer._prepare_inputs(self, [dict(row) for row in generation_batch])

    with pytest.raises(ConfigurationError, match="or with rows of its own; call it once"):
        made(Past, tmp_path).train()


@pytest.mark.parametrize("order", [[7, 6, 5, 4, 3, 2, 1, 0], [0, 1, 2, 3, 5, 4, 6, 7]])
def test_rows_in_another_order_are_refused(tmp_path: Path, order: list[int]) -> None:
    class Sorting(CeroGRPOTrainer):
        def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
            return super()._generate_and_score_completions([inputs[at] for at in order])

    with pytest.raises(ConfigurationError, match="would count for another prompt's group"):
        made(Sorting, tmp_path).train()


def test_an_override_that_prepares_inputs_by_itself_is_dealt_to(tmp_path: Path) -> None:
    class Mine(Keeping, CeroGRPOTrainer):
        def _prepare_inputs(self, generation_batch: Any) -> Any:
            return self._generate_and_score_completions(generation_batch)

    trainer = made(Mine, tmp_path)
    trainer.train()
    assert [len(batch["advantages"]) for batch in trainer.batches] == [8, 8]
    assert [outcomes.rollouts.tolist() for outcomes in trainer.allocator.observed] != [[4, 4], [4, 4]]


def test_a_keyword_of_ones_own(tmp_path: Path) -> None:
    class Above(CeroGRPOTrainer):
        def __init__(self, *args: Any, bonus: float = 0.0, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.bonus = bonus

    class Theirs(GRPOTrainer):
        def __init__(self, *args: Any, malus: float = 0.0, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.malus = malus

    class Both(Above, Theirs):
        pass

    trainer = made(Both, tmp_path, bonus=1.0, malus=2.0)
    assert (trainer.bonus, trainer.malus) == (1.0, 2.0)
    with pytest.raises(TypeError, match="bonos"):
        made(Both, tmp_path, bonos=1.0)
