"""Columns of the train dataset: what is known of each prompt of the pool before it is tried."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from cero_api._types import IntArray
from cero_api.adapting import prompt_features
from cero_api.adapting.known import numbers_in_column
from cero_api.errors import ConfigurationError, PromptError

# Rows of a dataset that are read at a time, where what they say is read at all.
BLOCK = 10_000

_SOURCE, _CHAT = "data_source", "raw_prompt"


def known_of(
    dataset: Any,
    rows: IntArray,
    by_features: bool,
    features: Sequence[str] | None,
    rates: str | None,
    samples: str | None,
) -> dict[str, Any]:
    """What an allocator is told of the prompts before they are tried, as `make_allocator` takes it.

    Args:
        dataset: verl's.
        rows: int64 `[M]`, of the dataset, one for each prompt of the pool.
        by_features: whether the allocator looks at features.
        features: columns beside the prompt's length; None is `data_source`, where there is one.
        rates: column of offline pass rates, or None.
        samples: column of the samples behind them, or None.

    Raises:
        PromptError: there is no such column, or nothing in it.
    """
    asked = [("features", name) for name in (features or ()) if by_features]
    asked += [(option, name) for option, name in (("offline_rates", rates), ("offline_samples", samples)) if name]
    prompt = getattr(dataset, "prompt_key", _CHAT)
    usual = [_SOURCE, prompt, _CHAT] if by_features else []
    found = columns_of(dataset, rows, list(dict.fromkeys([*usual, *(name.split(".")[0] for _, name in asked)])))
    values = {name: _inside(found, name) for _, name in asked}
    for option, name in asked:
        if _nothing(values[name]):
            raise PromptError(
                f"rollout_allocator.{option} names {name}, where the train dataset has nothing for any prompt; correct "
                "the name, or leave it out"
            )
    told: dict[str, Any] = {}
    if by_features:
        sources = {} if _nothing(found[_SOURCE]) else {_SOURCE: found[_SOURCE]}
        # A class of the user's may take out of a row what the chat was made of.
        chats = found[_CHAT] if _nothing(found[prompt]) else found[prompt]
        told["features"] = prompt_features(
            chats, sources if features is None else {name: values[name] for name in features}
        )
    return told | {option: numbers_in_column(name, values[name]) for option, name in asked if option != "features"}


def columns_of(dataset: Any, rows: IntArray, names: Sequence[str]) -> dict[str, list[Any]]:
    """Columns by name, a value for each of these rows; None where there is nothing.

    Args:
        dataset: verl's.
        rows: int64 `[M]`, of the dataset.
        names: of the columns, all read in one go.
    """
    frame = plain_frame(dataset)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    if frame is None:
        for row in rows.tolist():  # once, for there may be images in it
            example = dataset[row]
            for name in names:
                columns[name].append(example.get(name))
        return columns
    there = [name for name in names if name in frame.column_names]
    if there:
        table = frame.select_columns(there)
        table = table.select(rows) if rows.size < len(frame) else table
        # By blocks, for row by row it would take half a minute for every 20,000 prompts.
        for block in table.with_format("arrow").iter(batch_size=BLOCK):
            for name in there:
                columns[name] += block[name].to_pylist()
    return {name: column or [None] * rows.size for name, column in columns.items()}


def plain_frame(dataset: Any) -> Any:
    """The table behind verl's own dataset; None where a class of the user's makes the rows, or they are not a table."""
    from verl.utils.dataset.rl_dataset import RLHFDataset

    frame = getattr(dataset, "dataframe", None)
    own = all(
        getattr(type(dataset), name, None) is getattr(RLHFDataset, name) for name in ("__getitem__", "_build_messages")
    )
    if not own or frame is None or not hasattr(frame, "with_format"):
        return None
    info = frame.features.get("extra_info")
    # verl itself asks extra_info for its index, so it is a struct or nothing; text would not get this far.
    return frame if info is None or isinstance(info, dict) else None


def refuse_columns(dataset: Any) -> None:
    """Refuse a dataset at which verl's loader, or the first batch, would stop when the models are loaded.

    Raises:
        PromptError: it has no prompts.
        ConfigurationError: it sets the counts itself.
    """
    frame = plain_frame(dataset)
    if frame is not None and dataset.prompt_key not in frame.column_names:
        raise PromptError(
            f"the train dataset has no column {dataset.prompt_key}, which data.prompt_key names; name one of "
            f"{', '.join(frame.column_names)}"
        )
    refuse_own_counts(frame.column_names if frame is not None else dataset[0] if len(dataset) else ())


def refuse_own_counts(names: Container[str]) -> None:
    """Refuse a dataset, or a batch of it, that sets the counts itself.

    Args:
        names: of its columns.

    Raises:
        ConfigurationError: it does.
    """
    if "__rollout_n__" in names:
        raise ConfigurationError(
            "the dataset has a column __rollout_n__, which sets the counts that the allocator is to set; drop it"
        )


def _inside(found: Mapping[str, list[Any]], name: str) -> list[Any]:
    column, *inside = name.split(".")
    values = found[column]
    for part in inside:
        values = [value.get(part) if isinstance(value, Mapping) else None for value in values]
    return values


def _nothing(values: Sequence[Any]) -> bool:
    return all(value is None for value in values)
