"""Keys to rows and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import PromptError, PromptIndex, content_key


@given(st.one_of(st.lists(st.text(), unique=True), st.lists(st.integers(), unique=True)))
def test_rows_and_keys_are_inverse(keys: list[str] | list[int]) -> None:
    index = PromptIndex(keys)
    assert len(index) == len(keys)
    assert index.row_ids(keys).tolist() == list(range(len(keys)))
    assert index.keys(range(len(keys))) == keys
    assert all(key in index for key in keys)
    assert index.fingerprint == PromptIndex(list(keys)).fingerprint


def test_numpy_keys_are_plain_keys() -> None:
    assert PromptIndex(np.array([7, 5])).row_ids([5, 7]).tolist() == [1, 0]
    assert PromptIndex(np.array(["a", "b"])).row_ids(["b"]).tolist() == [1]


@pytest.mark.parametrize(
    ("keys", "remedy"),
    [(["a", "b", "a", "a"], "'a' names 3 rows"), ([1, "1"], "all str or all int"), ([1.5], "convert"), ([True], "int")],
)
def test_keys_that_cannot_identify_are_refused(keys: list[object], remedy: str) -> None:
    with pytest.raises(PromptError, match=remedy):
        PromptIndex(keys)  # type: ignore[arg-type]  # what the test is about


def test_strangers_are_refused() -> None:
    index = PromptIndex(["a", "b"])
    with pytest.raises(PromptError, match="'c' is not one of the 2"):
        index.row_ids(["a", "c"])
    for row in (-1, 2):
        with pytest.raises(PromptError, match="must be in"):
            index.keys([row])


@given(st.lists(st.text(), max_size=4), st.lists(st.text(), max_size=4))
def test_content_keys_tell_contents_apart(one: list[str], other: list[str]) -> None:
    assert (content_key(*one) == content_key(*other)) == (one == other)
