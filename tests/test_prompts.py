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


@given(st.lists(st.text(st.characters()), max_size=3), st.lists(st.text(st.characters()), max_size=3))
def test_half_a_character_is_text_like_any_other(one: list[str], other: list[str]) -> None:
    """Unpaired surrogates, as truncation in UTF-16 leaves them, have keys of their own."""
    assert (content_key(*one) == content_key(*other)) == (one == other)


def test_keys_of_valid_text_stay_what_they_were() -> None:
    assert content_key("What is 2 + 3?", "5") == "2f997a7e7513f8a7df865eecf9641926"
    assert len({content_key(text) for text in ("\ud83d", "\ud83e", "", "?", "\ufffd", "\ud83d\ud83d")}) == 6


@pytest.mark.parametrize("part", [None, 5, b"text", ["a"]])
def test_what_is_no_text_has_no_content_key(part: object) -> None:
    with pytest.raises(PromptError, match="takes text"):
        content_key(part)  # type: ignore[arg-type]  # what the test is about
