"""Keys to rows and back."""

from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cero_api import PromptError, PromptIndex, TraceError, content_key
from cero_api.trace import TraceWriter


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
    [
        (["a", "b", "a", "a"], "'a' names 3 rows"),
        ([1, "1"], "all strings or all integers"),
        ([1.5], "convert"),
        ([True], "int"),
    ],
)
def test_keys_that_cannot_identify_are_refused(keys: list[object], remedy: str) -> None:
    with pytest.raises(PromptError, match=remedy):
        PromptIndex(keys)  # type: ignore[arg-type]  # what the test is about


class Foreign:
    """An array of somebody else's that cannot be read."""

    def __array__(self, dtype: object = None, copy: object = None) -> object:
        raise RuntimeError("not here")


NO_KEYS = [
    None, 5, "abc", b"abc", {"a", "b"}, np.array("a"), np.array([["a"]]), [["a"]], [{"a": 1}], [None, "a"], [1, True],
    [1.0, 2.0], [1 + 0j], np.ma.array([1, 2], mask=[False, True]), [1, np.ma.masked], Foreign(),
]  # fmt: skip


@pytest.mark.parametrize("keys", NO_KEYS, ids=lambda keys: type(keys).__name__)
def test_what_holds_no_keys_is_refused_by_every_call(keys: object, tmp_path: Path) -> None:
    """None of them raises anything else, and no text is taken apart, no 1.0 or True for a 1, no set for an order."""
    given: Any = keys
    with pytest.raises(PromptError, match=r"prompt keys .*; "):
        PromptIndex(given)
    with pytest.raises(PromptError, match=r"prompt keys .*; "):
        PromptIndex([1, 2]).row_ids(given)
    with pytest.raises(TraceError, match=r"keys .*; "):
        TraceWriter(tmp_path / "trace.jsonl", keys=[] if given is None else given, num_prompts=7)


def test_keys_of_any_make_are_keys() -> None:
    class Name(StrEnum):
        first = "a"

    index = PromptIndex(key for key in ("a", "b"))
    for keys in (["a"], (Name.first,), np.array(["a"]), np.array(["a"], dtype=object), {"a": 0.5}, dict.fromkeys("a")):
        assert index.row_ids(keys).tolist() == [0]  # type: ignore[arg-type]  # what the test is about
    assert type(PromptIndex([Name.first]).keys([0])[0]) is str
    assert PromptIndex([7, 5]).row_ids([np.int8(5), np.array(7)]).tolist() == [1, 0]  # type: ignore[list-item]


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
