"""Which prompt a row is: by its index or by what it says, alike where the dataset is read and where it is dealt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from cero_api.errors import ConfigurationError, PromptError
from cero_verl.prompts import Identity, TrainPrompts, train_dataset
from cero_verl.refusals import refuse_unsupported
from integration_tests.verl.tiny import Tiny, save_prompts


def config(folder: Path, *flags: str) -> Any:
    return Tiny(folder, extra=["+rollout_allocator=cero", *flags]).config()


def written(folder: Path, rows: list[dict[str, Any]]) -> Any:
    """A train dataset as verl has it."""
    composed = config(folder)
    datasets.Dataset.from_list(rows).to_parquet(str(folder / "train.parquet"))
    return train_dataset(composed)


def row(text: str, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "data_source": "tiny",
        "prompt": [{"role": "user", "content": text}],
        "reward_model": {"style": "rule", "ground_truth": "0.5"},
        "extra_info": {"index": index, "split": "train"},
        **more,
    }


def batch_of(dataset: Any, rows: list[int]) -> Any:
    """What verl's loader makes of these rows for its manager."""
    return tensordict_utils.get_tensordict(collate_fn([dataset[i] for i in rows]))


def test_the_index_tells_prompts_apart(tmp_path: Path) -> None:
    dataset = written(tmp_path, [row("a", 7), row("a", 3), row("b", 5)])
    prompts = TrainPrompts(dataset)
    assert prompts.rows_of(batch_of(dataset, [2, 0])).tolist() == [2, 0]
    assert prompts.index.keys([0]) == ["tiny/7"]


NUMBERLESS: list[tuple[str, list[dict[str, Any]], str]] = [
    ("all zero", [row("a"), row("b")], r"extra_info\.index is 0 for all 2"),
    ("a repetition", [row("a", 1), row("b", 3), row("c", 3)], "tiny/3 stands for 2 rows"),
    ("a null", [row("a", 1), row("b", None)], r"extra_info\.index is null for 1 of 2"),
    ("no such key", [row(text, extra_info={"split": "train"}) for text in "ab"], r"index is 0 for all 2"),
    ("no extra_info", [{k: v for k, v in row(text).items() if k != "extra_info"} for text in "ab"], "0 for all 2"),
    ("a null extra_info", [row("a", 0), row("b", extra_info=None)], "0 for all 2"),
]


@pytest.mark.parametrize(("rows", "said"), [case[1:] for case in NUMBERLESS], ids=[case[0] for case in NUMBERLESS])
def test_prompts_that_the_index_does_not_tell_apart(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    dataset = written(tmp_path, rows)
    with pytest.raises(PromptError, match=f"(?s){said}.*rollout_allocator.identity=content"):
        TrainPrompts(dataset)
    prompts = TrainPrompts(dataset, "content")
    assert prompts.rows_of(batch_of(dataset, list(range(len(rows))))).tolist() == list(range(len(rows)))


def test_rows_that_say_the_same_are_one_prompt(tmp_path: Path) -> None:
    """As in DAPO-Math-17k, which holds each of its prompts a hundred times."""
    other = row("b", reward_model={"style": "rule", "ground_truth": "1.0"})
    dataset = written(tmp_path, [row("a", 0), row("b", 1), row("a", 2), other, row("b", 4), row("a", data_source="x")])
    prompts = TrainPrompts(dataset, "content")
    assert (len(prompts), prompts.dataset_rows) == (4, 6)
    assert prompts.first_row.tolist() == [0, 1, 3, 5]
    assert prompts.rows_of(batch_of(dataset, [5, 4, 3, 2, 1, 0])).tolist() == [3, 1, 2, 0, 1, 0]
    assert prompts.rows_of(batch_of(dataset, [4])).tolist() == [1]
    assert prompts.example(2)["reward_model"]["ground_truth"] == "1.0"


def test_reading_in_blocks_is_reading_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = list("abcdefgab")
    fast = written(tmp_path, [row(text, number) for number, text in enumerate(said)])

    class Own(RLHFDataset):
        def __getitem__(self, item: int) -> Any:
            return super().__getitem__(item)

    slow = written(tmp_path, [row(text, number) for number, text in enumerate(said)])
    slow.__class__ = Own
    monkeypatch.setattr("cero_verl.prompts.BLOCK", 2)
    monkeypatch.setattr("cero_verl.columns.BLOCK", 2)
    identities: tuple[Identity, ...] = ("index", "content")
    for identity in identities:
        one, other = TrainPrompts(fast, identity), TrainPrompts(slow, identity)
        assert one.index.fingerprint == other.index.fingerprint
        assert one.first_row.tolist() == other.first_row.tolist()
        known = [prompts.known(True, ["extra_info.index"], None, None)["features"] for prompts in (one, other)]
        np.testing.assert_array_equal(*known)


def test_images_have_no_text_to_be_known_by(tmp_path: Path) -> None:
    dataset = written(tmp_path, [row("a", 0), row("b", 1)])
    dataset.dataframe = dataset.dataframe.add_column(
        "prompt_", [[{"role": "user", "content": [{"type": "image"}]}]] * 2
    ).remove_columns("prompt")
    dataset.prompt_key = "prompt_"
    with pytest.raises(PromptError, match="of text alone"):
        TrainPrompts(dataset, "content")
    assert len(TrainPrompts(dataset)) == 2


def test_a_part_of_the_dataset_is_the_same_whenever_it_is_read(tmp_path: Path) -> None:
    flags = ("data.train_max_samples=6", "data.shuffle=true")
    composed = config(tmp_path, *flags)  # with the seed that every tiny training has
    save_prompts(tmp_path / "train.parquet", 16)
    refuse_unsupported(composed)
    one, other = (TrainPrompts(train_dataset(composed)) for _ in range(2))
    assert len(one) == 6
    assert one.index.fingerprint == other.index.fingerprint
    with pytest.raises(ConfigurationError, match=r"data\.seed"):
        refuse_unsupported(config(tmp_path, *flags, "data.seed=null"))
