"""Tensors as trainers have them, at the core's gate: with a gradient, of any precision, where numpy cannot reach."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cero_api import CeroError, InvalidOutcomeError, PromptIndex, RolloutOutcomes, group_advantages, make_allocator
from cero_api.arrays import real_numbers, whole_numbers

IDS = torch.tensor([0, 0, 1, 1])
SCORES = torch.tensor([1.0, 0.0, 0.5, 0.0])
TAKEN: dict[str, Callable[[], Any]] = {
    "with a gradient": lambda: SCORES.clone().requires_grad_(),
    "of a model": lambda: torch.nn.Parameter(SCORES.clone()) * 1.0,
    "double": lambda: SCORES.double(),
    "half": lambda: SCORES.half(),
    "bfloat16": lambda: SCORES.bfloat16(),
    "bfloat16 with a gradient": lambda: SCORES.bfloat16().requires_grad_(),
    "float8": lambda: SCORES.to(torch.float8_e5m2),
    "one by one": lambda: list(SCORES.bfloat16().requires_grad_()),
    "negated lazily": lambda: torch.complex(torch.zeros(4), -SCORES).conj().imag,
    "every second": lambda: SCORES.repeat_interleave(2)[::2],
}


def as_tensor(value: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(value))


def as_list(value: Any) -> Any:
    return np.asarray(value).tolist()


@pytest.mark.parametrize("make", TAKEN.values(), ids=TAKEN)
def test_tensors_are_taken_as_the_numbers_they_hold(make: Callable[[], Any]) -> None:
    assert real_numbers(make(), "rewards").tolist() == SCORES.tolist()
    outcomes = RolloutOutcomes.from_rewards(IDS, make())
    assert outcomes.successes.tolist() == [1.0, 0.0]
    assert group_advantages(make(), IDS, estimator="dr_grpo").tolist() == [0.5, -0.5, 0.25, -0.25]


REFUSED: dict[str, Callable[[torch.Tensor], Any]] = {
    "out of reach": lambda values: values.to("meta"),
    "sparse": lambda values: values.to_sparse(),
    "two-dimensional": lambda values: values[None],
    "complex": lambda values: values + 1j,
}


@pytest.mark.parametrize("odd", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_by_name(odd: Callable[[torch.Tensor], Any]) -> None:
    for call, name in (
        (lambda: RolloutOutcomes.from_rewards(IDS, odd(SCORES)), "rewards"),
        (lambda: RolloutOutcomes.from_rewards(odd(IDS), SCORES), "prompt_ids_per_rollout"),
        (lambda: group_advantages(odd(SCORES), IDS), "rewards"),
        (lambda: group_advantages(SCORES, odd(IDS)), "group_ids"),
    ):
        with pytest.raises(InvalidOutcomeError, match=rf"^{name} .*(copy|flatten|convert)"):
            call()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_reward_of_any_precision_reaches_its_threshold(dtype: torch.dtype) -> None:
    """bfloat16's 0.9 is 0.8984375, and its next lower number is no success."""
    for threshold in (0.9, 0.3, 1.0, 2.7):
        reward = torch.tensor([threshold], dtype=dtype)
        below = torch.tensor([threshold * 0.99], dtype=dtype)
        outcomes = RolloutOutcomes.from_rewards([0, 1], torch.cat([reward, below]), success_threshold=threshold)
        assert outcomes.successes.tolist() == [1.0, 0.0]
        ends = (-0.1, threshold)
        shares = RolloutOutcomes.from_rewards([0, 1], torch.tensor(ends, dtype=dtype), reward_range=ends)
        assert shares.successes.tolist() == [0.0, 1.0]


def test_ids_are_no_floats_and_no_bools() -> None:
    assert whole_numbers(IDS.int(), "ids").tolist() == IDS.tolist()
    for odd in (SCORES, IDS.bool()):
        with pytest.raises(CeroError, match=r"^ids must be integers"):
            whole_numbers(odd, "ids")


def test_an_index_takes_a_loaders_tensor() -> None:
    index = PromptIndex([4, 2, 8])
    assert index.row_ids(torch.tensor([8, 4])).tolist() == [2, 0]
    np.testing.assert_array_equal(index.keys(torch.tensor([1])), [2])


def test_a_state_goes_through_torch_save_and_load_at_their_defaults(tmp_path: Path) -> None:
    """As docs/own_loop.md has it."""
    allocator, resumed = (make_allocator("cero", num_prompts=8, rounds=4, budget=64) for _ in range(2))
    allocation = allocator.allocate([0, 1], total=8)
    allocator.observe(RolloutOutcomes([0, 1], [0.5, 2.0], allocation.counts - np.array([0.5, 2.0])))
    state = allocator.state_dict()
    for form in (as_tensor, as_list):
        saved = {name: form(value) for name, value in state.items()}
        torch.save({"step": 7, "allocator": saved}, tmp_path / "step-7.pt")
        resumed.load_state_dict(torch.load(tmp_path / "step-7.pt")["allocator"])
        assert all(np.array_equal(value, state[name]) for name, value in resumed.state_dict().items())
