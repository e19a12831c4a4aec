"""The loader's state carries the allocator's, through torch's own files; what does not fit is refused."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torchdata.stateful_dataloader import StatefulDataLoader

from cero_api import make_allocator
from cero_api.errors import CheckpointError
from cero_openrlhf.books import Books
from cero_openrlhf.checkpoint import KEY, LoaderWithBooks

# torchdata 0.11 still calls what torch 2.13 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")


def loader(pool: str = "this", fresh_start: bool = False) -> tuple[LoaderWithBooks, Books]:
    books = Books(make_allocator("cero", num_prompts=8, rounds=8, budget=128))
    return LoaderWithBooks(StatefulDataLoader(range(8), batch_size=1), books, pool, fresh_start), books


def used() -> tuple[LoaderWithBooks, Books]:
    """After one batch of four prompts."""
    mine, books = loader()
    drawn = iter(mine)
    rows = [int(next(drawn)[0]) for _ in range(4)]
    books.begin()
    for i, (uid, count) in enumerate(books.deal(rows, 4)):
        for _ in range(count):
            books.report(uid, float(i % 2))
    return mine, books


def saved(state: Any) -> Any:
    """Through a file, as DeepSpeed saves it."""
    file = io.BytesIO()
    torch.save({"client": state}, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)["client"]


def test_both_states_are_restored() -> None:
    mine, books = used()
    state = saved(mine.state_dict())
    other, others_books = loader()
    other.load_state_dict(state)
    assert [int(row[0]) for row in other] == [4, 5, 6, 7]
    for name, value in books.allocator.state_dict().items():
        np.testing.assert_array_equal(value, others_books.allocator.state_dict()[name])


def test_stock_openrlhf_resumes_it() -> None:
    mine, _ = used()
    stock = StatefulDataLoader(range(8), batch_size=1)
    stock.load_state_dict(mine.state_dict())
    assert [int(row[0]) for row in stock] == [4, 5, 6, 7]


def test_the_log_of_a_restored_state_is_short() -> None:
    assert len(repr(used()[0].state_dict()[KEY])) < 300


def test_it_is_the_loader_in_every_other_way() -> None:
    mine, _ = loader()
    assert (len(mine), mine.batch_size, mine.dataset) == (8, 1, range(8))


def test_a_state_without_the_allocators_is_refused() -> None:
    state = StatefulDataLoader(range(8), batch_size=1).state_dict()
    with pytest.raises(CheckpointError, match=r"pass --cero\.fresh_start to do that"):
        loader()[0].load_state_dict(state)
    mine, books = loader(fresh_start=True)
    mine.load_state_dict(state)
    assert books.metrics()["budget_spent"] == 0


def test_another_dataset_is_refused() -> None:
    with pytest.raises(CheckpointError, match="resume with the dataset of that run"):
        loader(pool="another")[0].load_state_dict(used()[0].state_dict())
