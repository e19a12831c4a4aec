"""What the columns of a train dataset say of its prompts, and what is wrong with them, found at the start."""

from __future__ import annotations

from typing import Any

import datasets
import numpy as np
import pytest
from verl.utils import tensordict_utils
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn

from cero_api.errors import ConfigurationError, PromptError
from cero_verl.columns import refuse_columns
from cero_verl.prompts import TrainPrompts


def row(text: str, index: Any = 0, **more: Any) -> dict[str, Any]:
    return {
        "data_source": "tiny",
        "prompt": [{"role": "user", "content": text}],
        "reward_model": {"ground_truth": "1"},
        "extra_info": {"index": index},
        **more,
    }


def read(rows: list[dict[str, Any]], kind: Any = RLHFDataset) -> Any:
    """A dataset of verl's, without a tokenizer, which nothing here needs."""
    dataset = object.__new__(kind)
    dataset.dataframe = datasets.Dataset.from_list(rows)
    dataset.prompt_key, dataset.need_tools_kwargs = "prompt", False
    dataset.image_key, dataset.video_key, dataset.audio_key = "images", "videos", "audios"
    return dataset


def test_what_is_known_of_prompts_comes_by_row_of_the_pool() -> None:
    prompts = TrainPrompts(
        read([row("a", 5, rate=0.25), row("b", 7, rate=0.5), row("a", 9, rate=0.25), row("cd", 3, rate=None)]),
        "content",
    )
    told = prompts.known(True, ["extra_info.index"], "rate", None)
    np.testing.assert_array_equal(told["offline_rates"], [0.25, 0.5, np.nan])
    np.testing.assert_allclose(told["features"], [[np.log(2), 5], [np.log(2), 7], [np.log(3), 3]])


@pytest.mark.parametrize("name", ["rate", "extra_info.rate", "extra_info.index.rate", "empty"])
def test_a_column_with_nothing_in_it_is_refused_by_its_option(name: str) -> None:
    """A word that is misspelt would be a feature that is alike for all."""
    prompts = TrainPrompts(read([row(text, number, empty=None) for number, text in enumerate("abc")]))
    assert "features" not in prompts.known(False, [name], None, None)
    with pytest.raises(PromptError, match=f"rollout_allocator.features names {name}, .* nothing for any prompt"):
        prompts.known(True, [name], None, None)
    with pytest.raises(PromptError, match=f"rollout_allocator.offline_rates names {name},"):
        prompts.known(False, None, name, None)


def test_a_dataset_without_sources_has_lengths() -> None:
    rows = [row("a", 0, data_source=None), row("bcd", 1, data_source=None)]
    for changed in (rows, [{name: value for name, value in one.items() if name != "data_source"} for one in rows]):
        told = TrainPrompts(read(changed)).known(True, None, None, None)
        np.testing.assert_allclose(told["features"], np.log([[2], [4]]))


class Popped(RLHFDataset):
    """Takes out of a row what it has made use of."""

    def __getitem__(self, item: int) -> Any:
        example = super().__getitem__(item)
        del example["prompt"], example["index"]
        return example


class Bare:
    """No dataset of verl's at all."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, item: int) -> Any:
        return {"raw_prompt": [{"role": "user", "content": "ab"[item]}], "index": [item]}


def test_classes_of_ones_own_are_known_by_what_their_rows_hold() -> None:
    dataset = read([row("a", 0), row("b", 1)], Popped)
    with pytest.raises(PromptError, match=r"extra_info\.index is null for 2 of 2"):
        TrainPrompts(dataset)
    for prompts in (TrainPrompts(dataset, "content"), TrainPrompts(Bare())):
        assert len(prompts) == 2
        assert prompts.known(True, None, None, None)["features"][:, 0].tolist() == [np.log(2)] * 2


def test_text_in_parts_is_text() -> None:
    chats: list[Any] = [[{"role": "user", "content": [{"type": "text", "text": text}]}] for text in "aba"]
    dataset = read([row("", prompt=chat) for chat in chats])
    batch = tensordict_utils.get_tensordict(collate_fn([dataset[i] for i in (2, 1)]))
    assert TrainPrompts(dataset, "content").rows_of(batch).tolist() == [0, 1]


def test_what_the_loader_or_the_first_batch_would_stop_at_is_refused_early() -> None:
    dataset = read([row("a", 0), row("b", 1)])
    refuse_columns(dataset)
    refuse_columns(Bare())
    dataset.prompt_key = "question"
    with pytest.raises(
        PromptError, match=r"no column question, which data.prompt_key names; name one of data_source, "
    ):
        refuse_columns(dataset)
    with pytest.raises(ConfigurationError, match="a column __rollout_n__"):
        refuse_columns(read([row("a", __rollout_n__=8)]))
