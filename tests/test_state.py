"""A state as others keep it: lists of JSON, tensors of torch; and another allocator's, which nobody takes."""

import itertools
import json
from typing import Any

import numpy as np
import pytest

from cero_api import BaseAllocator, CheckpointError, RolloutAllocator, RolloutOutcomes, make_allocator
from cero_api.allocators import available_allocators

ONE_WAVE = available_allocators(waves=1)


SIZE: dict[str, Any] = {"num_prompts": 12, "rounds": 20, "budget": 480}


def played(name: str) -> RolloutAllocator:
    allocator = make_allocator(name, **SIZE)
    for _ in range(3):
        allocation = allocator.allocate()
        won = np.minimum(allocation.prompt_ids % 5, allocation.counts)
        allocator.observe(RolloutOutcomes(allocation.prompt_ids, won, allocation.counts - won))
    allocator.allocate([3, 1, 4], total=18)
    return allocator


def same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


class Tensor:
    """What of a torch tensor the gate asks for; the real ones are tried with TRL's suite."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.dtype, self.ndim = array, array.dtype, array.ndim

    def detach(self) -> "Tensor":
        return self

    def numpy(self, force: bool) -> np.ndarray:
        return self._array

    def item(self) -> Any:
        return self._array.item()


FORMS: dict[str, Any] = {
    "lists": lambda value: value.tolist() if isinstance(value, np.ndarray) else value,
    "tuples": lambda value: tuple(value.tolist()) if isinstance(value, np.ndarray) else value,
    "json": lambda value: json.loads(json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)),
    "tensors": lambda value: Tensor(value) if isinstance(value, np.ndarray) else value,
    "tensors, of numbers too": lambda value: Tensor(np.asarray(value)),
    "arrays of no dimension": np.asarray,
    "read-only arrays": lambda value: np.frombuffer(value.tobytes(), value.dtype) if np.ndim(value) else value,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ONE_WAVE)
def test_a_state_is_taken_in_every_form_that_keeps_its_numbers(name: str, form: str) -> None:
    allocator, resumed = played(name), make_allocator(name, **SIZE)
    resumed.load_state_dict({entry: FORMS[form](value) for entry, value in allocator.state_dict().items()})
    assert same(resumed.state_dict(), allocator.state_dict())
    assert resumed.allocate().counts.tolist() == allocator.allocate().counts.tolist()


@pytest.mark.parametrize(
    "value", [[0.5] * 12, ["1"] * 12, [[1]] * 12, [True] * 12, [1] * 11, [None] * 12, [2**70] * 12, 12, "x" * 12]
)
def test_a_list_of_another_type_or_length_is_refused(value: Any) -> None:
    allocator = played("cero")
    before = allocator.state_dict()
    with pytest.raises(CheckpointError, match="exposure"):
        allocator.load_state_dict(before | {"exposure": value})
    with pytest.raises(CheckpointError, match="a dictionary of arrays and numbers"):
        allocator.load_state_dict(list(before.items()))  # type: ignore[arg-type]  # what the test is about
    assert same(allocator.state_dict(), before)


@pytest.mark.parametrize(("saved", "mine"), list(itertools.permutations(ONE_WAVE, 2)))
def test_no_allocator_takes_the_state_of_another(saved: str, mine: str) -> None:
    allocator = played(mine)
    before, foreign = allocator.state_dict(), played(saved).state_dict()
    with pytest.raises(CheckpointError, match=r"of this allocator, which is a \w+Allocator: it is of '\w+Allocator'"):
        allocator.load_state_dict(foreign)
    assert isinstance(allocator, BaseAllocator)
    with pytest.raises(CheckpointError, match="not a state of this allocator"):
        allocator.check_state(foreign)
    assert same(allocator.state_dict(), before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": 99}, "version 99, this library reads 1 to"),
        ({"version": "4"}, "version '4'"),
        ({"allocator": None}, "it is of None"),
        ({"allocator": [1e9]}, "it is of"),
        ({"allocator": np.array([300, -1])}, "it is of"),
    ],
)
def test_a_header_is_read_strictly(change: dict[str, Any], said: str) -> None:
    allocator = played("cero")
    with pytest.raises(CheckpointError, match=said):
        allocator.load_state_dict(allocator.state_dict() | change)
    for entry in ("version", "allocator"):
        state = allocator.state_dict()
        del state[entry]
        with pytest.raises(CheckpointError, match=r"of its header it has '\w+' alone"):
            allocator.load_state_dict(state)
