"""The train dataset as the allocator sees it: which prompt of the pool a row is, whatever shuffles and restarts do."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NoReturn

import numpy as np

from cero_api import PromptIndex, content_key
from cero_api._types import IntArray
from cero_api.errors import PromptError
from cero_verl.columns import BLOCK, known_of, plain_frame

Identity = Literal["index", "content"]

_REMEDY = (
    "number the rows, for example with dataset.map(lambda row, i: "
    '{"extra_info": {**(row.get("extra_info") or {}), "index": i}}, with_indices=True), or set '
    "rollout_allocator.identity=content to know them by what they say"
)


class TrainPrompts:
    """The pool: one row of it per prompt of verl's train dataset, in the order in which the prompts first come.

    Args:
        dataset: as verl's trainer has it, filtered and cut.
        identity: "index" knows a prompt by its `data_source` and `extra_info.index`, which must be different for each;
            "content" by its `data_source`, messages and ground truth, so that rows which say the same are one prompt.

    Raises:
        PromptError: the dataset does not tell its prompts apart in this way.
    """

    def __init__(self, dataset: Any, identity: Identity = "index") -> None:
        self.identity = identity
        self.dataset_rows = len(dataset)
        self._dataset = dataset
        read = _indexed if identity == "index" else _said
        first: dict[str, int] = {}
        for row, key in enumerate(read(dataset)):  # once, and never a list of them: there can be millions
            first.setdefault(key, row)
        if identity == "index" and len(first) < self.dataset_rows:
            _refuse_repeated(Counter(read(dataset)))
        self.index = PromptIndex(first)
        self.first_row: IntArray = np.fromiter(first.values(), dtype=np.int64, count=len(first))

    def __len__(self) -> int:
        return len(self.index)

    def rows_of(self, batch: Any) -> IntArray:
        """Rows of the pool of a batch of verl's, int64 `[P]`.

        Raises:
            PromptError: a prompt is not in the dataset that was read.
        """
        names = ("data_source", *(("index",) if self.identity == "index" else ("raw_prompt", "reward_model")))
        columns = [column(batch, name) if name in batch else None for name in names]
        size = len(next(part for part in columns if part is not None))
        parts = zip(*(part if part is not None else [None] * size for part in columns), strict=True)
        return self.index.row_ids([(prompt_key if self.identity == "index" else said_key)(*part) for part in parts])

    def example(self, row: int) -> dict[str, Any]:
        """What verl's loader would give for this row of the pool: of several that say the same, the first."""
        example: dict[str, Any] = self._dataset[int(self.first_row[row])]
        return example

    def known(
        self, by_features: bool, features: Sequence[str] | None, rates: str | None, samples: str | None
    ) -> dict[str, Any]:
        """What the allocator is told of these prompts before they are tried, see `known_of`."""
        return known_of(self._dataset, self.first_row, by_features, features, rates, samples)

    def release(self) -> None:
        """Let go of the dataset, where prompts are not read from here; verl's trainer has its own."""
        self._dataset = None


def train_dataset(config: Any) -> Any:
    """The train dataset of verl, filtered and cut as its trainer has it."""
    from verl.trainer.ppo.utils import create_rl_dataset
    from verl.utils.config import omega_conf_to_dataclass

    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    return create_rl_dataset(
        config.data.train_files,
        config.data,
        model.tokenizer,
        model.processor,
        is_train=True,
        max_samples=config.data.get("train_max_samples", -1),
    )


def prompt_key(data_source: Any, index: Any) -> str:
    """A prompt's name: its dataset and its `extra_info.index`, which several datasets may share.

    >>> prompt_key("openai/gsm8k", 17)
    'openai/gsm8k/17'
    """
    return f"{data_source}/{index}"


def said_key(data_source: Any, messages: Any, reward_model: Any) -> str:
    """A prompt's name by what it says, and by what would be right.

    Raises:
        PromptError: it says more than text.

    >>> said_key("gsm8k", [{"role": "user", "content": "2 + 3?"}], {"ground_truth": "5"})[:16]
    'gsm8k/2c0766eb8b'
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    said = [_without_nulls(message) for message in messages or ()]
    if not all(_is_text(message.get("content")) for message in said if isinstance(message, Mapping)):
        raise PromptError(
            "rollout_allocator.identity=content knows prompts of text alone, and this train dataset has images, "
            "audio or video; number the rows in extra_info.index, and leave the option out"
        )
    right = reward_model.get("ground_truth") if isinstance(reward_model, Mapping) else reward_model
    texts = (json.dumps(part, sort_keys=True, ensure_ascii=False, default=str) for part in (said, right))
    return f"{data_source}/{content_key(*texts)}"


def _without_nulls(part: Any) -> Any:
    """A message, or what it consists of, less the fields that only other rows have."""
    if isinstance(part, Mapping):
        return {name: _without_nulls(value) for name, value in part.items() if value is not None}
    return [_without_nulls(value) for value in part] if isinstance(part, list | tuple) else part


def _is_text(content: Any) -> bool:
    """Whether a message says text and nothing else, whole or in parts."""
    if isinstance(content, list):
        return all(isinstance(part, str) or (isinstance(part, dict) and part.get("type") == "text") for part in content)
    return isinstance(content, str | None)


def column(batch: Any, name: str) -> list[Any]:
    """A column of verl's batch as a plain list, whatever it is stored as."""
    values = batch[name]
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _indexed(dataset: Any) -> Iterator[str]:
    """Keys of all rows by their index, as verl reads it.

    Raises:
        PromptError: some or all have none.
    """
    sources, indices = _sources_and_indices(dataset)
    missing = sum(index is None for index in indices)
    if missing:
        raise PromptError(
            f"extra_info.index is null for {missing} of {len(indices)} prompts of the train dataset, and the allocator "
            f"knows prompts by it; {_REMEDY}"
        )
    if len(indices) > 1 and all(index == indices[0] for index in indices):
        raise PromptError(
            f"extra_info.index is {indices[0]} for all {len(indices)} prompts of the train dataset (verl's default "
            f"where it, or extra_info, is missing), and the allocator knows prompts by it; {_REMEDY}"
        )
    return map(prompt_key, sources, indices)


def _refuse_repeated(keys: Counter[str]) -> NoReturn:
    key, times = keys.most_common(1)[0]
    raise PromptError(
        f"extra_info.index repeats in the train dataset: {key} stands for {times} rows; if they are the same prompt, "
        "set rollout_allocator.identity=content and they count as one; else number the rows of each data_source"
    )


def _sources_and_indices(dataset: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """`data_source` and index of all rows, without building a million prompts where that can be."""
    frame = plain_frame(dataset)
    if frame is None:
        rows = [dataset[row] for row in range(len(dataset))]
        return [row.get("data_source") for row in rows], [row.get("index") for row in rows]
    names = [name for name in ("data_source", "extra_info") if name in frame.column_names]
    table = frame.select_columns(names).with_format("arrow")[:] if names else None
    sources = table["data_source"].to_pylist() if table is not None and "data_source" in names else [None] * len(frame)
    if table is None or "extra_info" not in names:
        return sources, [0] * len(frame)  # as verl has it
    import pyarrow.compute

    info = table["extra_info"]
    if not any(part.name == "index" for part in info.type):
        return sources, [0] * len(frame)
    index = pyarrow.compute.struct_field(info, "index").to_pylist()
    # Where extra_info itself is null verl puts an empty one, whose index is 0; a null index stays one.
    there = info.is_valid().to_pylist()
    return sources, [value if valid else 0 for value, valid in zip(index, there, strict=True)]


def _said(dataset: Any) -> Iterator[str]:
    """Keys of all rows by what they say."""
    frame = plain_frame(dataset)
    more = [getattr(dataset, f"{kind}_key", None) for kind in ("image", "video", "audio")]
    if frame is None or any(name in frame.column_names for name in more):
        for row in range(len(dataset)):
            example = dataset[row]
            yield said_key(example.get("data_source"), example["raw_prompt"], example.get("reward_model"))
        return
    wanted = ("data_source", dataset.prompt_key, "reward_model")
    names = [name for name in wanted if name in frame.column_names]
    for block in frame.select_columns(names).with_format("arrow").iter(batch_size=BLOCK):
        columns = [block[name].to_pylist() if name in names else [None] * len(block) for name in wanted]
        yield from map(said_key, *columns)
