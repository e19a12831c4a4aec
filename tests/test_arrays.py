"""What people and trainers pass for rewards, ids and counts: taken whole, or refused by name with a remedy."""

import contextlib
import datetime
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Self

import numpy as np
import pytest

from cero_api import (
    CeroAllocator,
    CeroConfig,
    CeroError,
    InvalidOutcomeError,
    PromptError,
    PromptIndex,
    RolloutOutcomes,
    TraceError,
    group_advantages,
)
from cero_api.analysis.report import RunSummary
from cero_api.arrays import epsilon_of, real_numbers, whole_numbers
from cero_api.trace import trace_lines


class Tensor:
    """What torch's tensors are to us: methods that each give another tensor, and numbers only at the end of the chain.

    The real ones stand in integration_tests/trl/test_tensors.py.
    """

    def __init__(self, values: list[Any], dtype: str = "torch.float32", attached: bool = True, fault: str = "") -> None:
        self.values, self.dtype, self.attached, self.fault = values, dtype, attached, fault

    def detach(self) -> Self:
        return type(self)(self.values, self.dtype, False, self.fault)

    def float(self) -> Self:
        return type(self)(self.values, "torch.float32", self.attached, self.fault)

    def numpy(self, *, force: bool = False) -> Any:
        if self.fault:
            raise NotImplementedError(self.fault)
        if self.attached or not force:
            raise RuntimeError("Can't call numpy() on a tensor with a gradient, or on a device")
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.array(self.values, dtype=self.dtype.removeprefix("torch."))

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return self.numpy()


REAL: dict[str, tuple[Any, list[float]]] = {
    "a list": ([1, 0.5], [1.0, 0.5]),
    "bools": (np.array([True, False]), [1.0, 0.0]),
    "float16": (np.array([0.5, 2], "f2"), [0.5, 2.0]),
    "another byte order": (np.array([1, 2], ">f4"), [1.0, 2.0]),
    "read-only, strided": (np.broadcast_to(np.float32(1), 2), [1.0, 1.0]),
    "decimals and fractions": ([Decimal("0.5"), Fraction(1, 4)], [0.5, 0.25]),
    "numbers as objects": (np.array([1, np.float32(0.5), np.bool_(True)], dtype=object), [1.0, 0.5, 1.0]),
    "a masked array that masks nothing": (np.ma.masked_array([1.0, 2.0]), [1.0, 2.0]),
    "a tensor with a gradient": (Tensor([1.0, 0.0]), [1.0, 0.0]),
    "a bfloat16 tensor": (Tensor([1.0, 0.5], "torch.bfloat16"), [1.0, 0.5]),
    "a list of tensors": ([Tensor([1.0], "torch.bfloat16"), 0.5], []),
    "nothing": ([], []),
}
NO_NUMBERS: dict[str, tuple[Any, str]] = {
    "strings": (["1.0", "0.0"], "strings"),
    "bytes": ([b"1", b"0"], "bytes"),
    "strings as objects": (np.array([1.0, "1.0"], dtype=object), "'1.0' at 1"),
    "numbers that became strings": ([1.0, "x"], "strings"),
    "dates": (np.array(["2026-01-01"] * 2, dtype="M8[D]"), "dates"),
    "dates as objects": ([datetime.date(2026, 1, 1)] * 2, "datetime.date"),
    "durations": (np.array([1, 2], dtype="m8[s]"), "durations"),
    "complex numbers": (np.array([1 + 1j, 0]), "complex"),
    "None": ([1.0, None], "None at 1"),
    "records": (np.zeros(2, dtype="f4,f4"), "f0"),
    "a masked entry": (np.ma.masked_array([1.0, 0.0], mask=[False, True]), "masks 1 of 2"),
    "a masked entry in a list": ([1.0, np.ma.masked], "masked entry"),
    "numbers too large for a float": ([10**400, 1], "too large"),
    "two dimensions": ([[1.0, 0.0]], "one-dimensional"),
    "rows of different length": ([[1.0], [1.0, 0.0]], "flat"),
    "one number": (1.0, "not one float"),
    "nothing at all": (None, "not one NoneType"),
    "a generator": ((1.0 for _ in range(2)), "not one generator"),
    "a tensor without numbers": (Tensor([1.0], fault="Cannot copy out of meta tensor"), "meta tensor"),
    "tensors without numbers": ([Tensor([1.0], fault="no data!")], "no data!"),
}


@pytest.mark.parametrize(("values", "expected"), REAL.values(), ids=REAL)
def test_real_numbers_are_taken_as_they_are(values: Any, expected: list[float]) -> None:
    if isinstance(values, list) and values and isinstance(values[0], Tensor):
        values, expected = [_scalar(0.25), 0.5], [0.25, 0.5]
    got = real_numbers(values, "rewards")
    assert got.dtype == np.float64
    assert got.tolist() == expected
    assert got.flags.writeable
    assert not np.shares_memory(got, np.zeros(1) if not isinstance(values, np.ndarray) else values)


def _scalar(value: float) -> Tensor:
    tensor = Tensor([], "torch.bfloat16")
    tensor.values = value  # type: ignore[assignment]  # of no dimension, as a loss is
    return tensor


@pytest.mark.parametrize(("values", "said"), NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused_by_name(values: Any, said: str) -> None:
    for gate in (real_numbers, whole_numbers):
        with pytest.raises(TraceError, match=r"^marks .*(convert|leave|flatten|give|copy)") as refusal:
            gate(values, "marks", TraceError)
        if gate is real_numbers:
            assert said in str(refusal.value)


@pytest.mark.parametrize("values", [[0.0, 1.0], [True, False], np.array([1, 2], dtype=object), [2**63], [2**64]])
def test_ids_are_integers_and_nothing_is_cut(values: Any) -> None:
    with pytest.raises(InvalidOutcomeError, match=r"^ids must be"):
        whole_numbers(values, "ids")


def test_integers_of_any_width_and_from_tensors_are_ids() -> None:
    for values in (
        np.array([3, 5], "u1"),
        np.array([3, 5], ">i2"),
        (3, 5),
        range(3, 6, 2),
        Tensor([3, 5], "torch.int64"),
    ):
        assert whole_numbers(values, "ids").tolist() == [3, 5]


@pytest.mark.parametrize("values", [[1.0, 0.5], (1, 0), [True, False], np.array([1.0, 0.5])], ids=repr)
def test_an_interrupt_in_the_gate_stays_what_it_is(values: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a time limit raises while plain numbers are read is no fault of theirs, and not to be reported as one."""

    class OutOfTime(Exception):
        pass

    def late(*_: Any, **__: Any) -> Any:
        raise OutOfTime

    monkeypatch.setattr("cero_api.arrays.np.asarray", late)
    with contextlib.suppress(OutOfTime):
        real_numbers(values, "rewards")


def test_how_finely_rewards_can_differ() -> None:
    tensor: Any = Tensor([1.0], "torch.bfloat16")
    assert epsilon_of(tensor) == epsilon_of([tensor]) == 2**-7
    assert epsilon_of(np.array([1.0], "f2")) == np.finfo(np.float16).eps
    assert epsilon_of(np.array([1.0])) == epsilon_of([]) == np.finfo(np.float32).eps


MASKED = np.ma.masked_array([1, 0], mask=[False, True])
ALLOCATOR = CeroAllocator(CeroConfig(num_prompts=4, rounds=4, budget=32))
CALLS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "rewards": ("rewards", lambda odd: RolloutOutcomes.from_rewards([0, 1], odd)),
    "prompts of rewards": ("prompt_ids_per_rollout", lambda odd: RolloutOutcomes.from_rewards(odd, [1.0, 0.0])),
    "prompts of outcomes": ("prompt_ids", lambda odd: RolloutOutcomes(odd, [1, 0], [0, 1])),
    "successes": ("successes", lambda odd: RolloutOutcomes([0, 1], odd, [0, 1])),
    "failures": ("failures", lambda odd: RolloutOutcomes([0, 1], [0, 1], odd)),
    "advantages": ("rewards", lambda odd: group_advantages(odd, [0, 1])),
    "groups of advantages": ("group_ids", lambda odd: group_advantages([1.0, 0.0], odd)),
    "candidates": ("row ids", lambda odd: ALLOCATOR.allocate(odd)),
    "refunds": ("counts", lambda odd: ALLOCATOR.refund([0, 1], odd)),
    "rows of an index": ("row_ids", lambda odd: PromptIndex(["a", "b"]).keys(odd)),
    "rows of a report": ("rows", lambda odd: RunSummary.of_rounds("a", [(0, odd, [1, 1], [1, 0])], 2)),
    "counts of a report": ("counts", lambda odd: RunSummary.of_rounds("a", [(0, [0, 1], odd, [1, 0])], 2)),
    "counts of a trace": ("counts", lambda odd: trace_lines(0, [1, 2], odd, [1, 0])),
    "successes of a trace": ("successes", lambda odd: trace_lines(0, [1, 2], [1, 1], odd)),
}


@pytest.mark.parametrize(("name", "call"), CALLS.values(), ids=CALLS)
def test_every_call_has_this_gate(name: str, call: Callable[[Any], object]) -> None:
    for odd in (MASKED, ["1", "0"], np.array(["2026-01-01"] * 2, "M8[D]"), [1j, 0j], [1, None], Tensor([1], fault="x")):
        with pytest.raises(CeroError, match=f"^{name} "):
            call(odd)


def test_an_index_takes_keys_as_an_array_has_them() -> None:
    index = PromptIndex([7, 9])
    assert index.row_ids(np.array([9, 7])).tolist() == [1, 0]
    assert index.keys(np.array([1])) == [9]
    with pytest.raises(PromptError):
        index.row_ids(np.ma.masked_array([7, 9], mask=[False, True]))
