"""Which row of the train dataset a prompt is: the identity that survives shuffles, epochs and restarts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cero_api import PromptIndex
from cero_api.errors import PromptError


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


def index_of(dataset: Any) -> PromptIndex:
    """Row ids of all prompts by their keys.

    Raises:
        PromptError: verl's `index` does not tell the prompts apart.
    """
    sources, indices = _columns(dataset)
    keys = [prompt_key(source, index) for source, index in zip(sources, indices, strict=True)]
    if len(keys) > 1 and len(set(indices)) == 1:
        raise PromptError(
            f"extra_info.index is {indices[0]} for all {len(keys)} prompts of the train dataset (verl's default where "
            "it is missing), and the allocator knows prompts by it; number the rows, for example with "
            'dataset.map(lambda row, i: {"extra_info": {**row["extra_info"], "index": i}}, with_indices=True)'
        )
    unique, times = np.unique(np.array(keys, dtype=object), return_counts=True)
    if times.max(initial=0) > 1:
        raise PromptError(
            f"extra_info.index repeats in the train dataset: {unique[times.argmax()]} stands for {times.max()} "
            "prompts; number the rows of each data_source, and drop duplicates"
        )
    return PromptIndex(keys)


def column(batch: Any, name: str) -> list[Any]:
    """A column of verl's batch as a plain list, whatever it is stored as."""
    values = batch[name]
    return list(values.tolist() if hasattr(values, "tolist") else values)


def _columns(dataset: Any) -> tuple[Sequence[Any], Sequence[Any]]:
    """`data_source` and `extra_info.index` of all rows, without building a million prompts where that can be."""
    frame: Any = getattr(dataset, "dataframe", None)
    if hasattr(frame, "with_format") and "extra_info" in getattr(frame, "column_names", ()):
        import pyarrow.compute

        names = [name for name in ("data_source", "extra_info") if name in frame.column_names]
        table = frame.select_columns(names).with_format("arrow")[:]
        info = table["extra_info"]
        if any(part.name == "index" for part in info.type):
            index = pyarrow.compute.struct_field(info, "index").to_pylist()
        else:
            index = [0] * len(table)  # as verl has it
        source = table["data_source"].to_pylist() if "data_source" in names else [None] * len(table)
        return source, [0 if value is None else value for value in index]
    rows = [dataset[row] for row in range(len(dataset))]
    return [row.get("data_source") for row in rows], [row["index"] for row in rows]
