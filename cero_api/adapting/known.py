"""What an adapter knows of prompts before their first visit: length, source, and columns that a user names."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api._types import FloatArray
from cero_api.allocators import allocator_type
from cero_api.beliefs import BY_FEATURES
from cero_api.config import AllocatorConfig
from cero_api.errors import CeroWarning, CheckpointError, ConfigurationError
from cero_api.knowledge import Knowledge
from cero_api.protocol import RolloutAllocator

SOURCES = ("data_source", "source", "dataset", "task", "ability")
"""Columns that say where a prompt comes from, by the names that data sets give them."""

_CLASSES = 16  # of one column: the most frequent; the others are none of them


def prompt_features(prompts: Sequence[object], columns: Mapping[str, Sequence[object]]) -> FloatArray:
    r"""Features of prompts, `[M, d]`: the logarithm of the length, and what columns say.

    The length is in characters: tokens need a tokenizer, and go with them. A column of numbers is taken as it is,
    missing ones being the mean, and one of vectors (an embedding) as that many columns; of any other each of its (at
    most 16 most frequent) values gets a column of 0 and 1, with a warning where most prompts have none of these.

    Args:
        prompts: `[M]`, texts or chats.
        columns: `[M]` each, by name.

    Raises:
        ConfigurationError: a column has another number of rows, or vectors of several lengths.

    >>> prompt_features(["2+2=", [{"role": "user", "content": "Why?"}]], {"source": ["a", "b"]}).round(2)
    array([[1.61, 1.  , 0.  ],
           [1.61, 0.  , 1.  ]])
    """
    lengths = np.log1p([float(_length(prompt)) for prompt in prompts])
    parts: list[NDArray[Any]] = [lengths[:, None]]
    for name, values in columns.items():
        if len(values) != lengths.size:
            raise ConfigurationError(
                f"column {name!r} has {len(values)} rows for {lengths.size} prompts; give one value a prompt"
            )
        parts.append(_columns(name, values))
    return np.hstack(parts).astype(np.float64)


def numbers_in_column(name: str, values: Sequence[object]) -> FloatArray:
    """A column of numbers, such as pass rates, `[M]`; NaN where there is none.

    Args:
        name: of the column.
        values: `[M]`, as the data set has them.

    Raises:
        ConfigurationError: some of them are no numbers.

    >>> numbers_in_column("pass_rate", [0.5, None])
    array([0.5, nan])
    """
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"column {name!r} is to hold a number for each prompt and does not: {error}; name a column of numbers"
        ) from error


def told_before(
    name: str,
    fields: Mapping[str, Any],
    *,
    features: ArrayLike | None,
    offline_rates: ArrayLike | None,
    offline_samples: ArrayLike | None = None,
    automatic: bool,
) -> dict[str, Any]:
    """The allocator's fields, with what is known of the prompts and the belief that makes use of it.

    A method that goes by outcomes alone is told nothing that was found without the user's doing.

    Args:
        name: of a registered allocator.
        fields: the user's own settings, which win.
        features: `[M, d]`; None is nothing.
        offline_rates: `[M]`, from 0 to 1; None is nothing.
        offline_samples: `[M]`, behind each rate.
        automatic: whether nobody asked for the features.

    Raises:
        ConfigurationError: somebody did, and nothing would look at them.

    >>> told_before("cero", {}, features=[[1.0]], offline_rates=None, automatic=True)["belief"]
    'features'
    >>> told_before("hora", {}, features=[[1.0]], offline_rates=None, automatic=True)
    {}
    """
    asks = getattr(allocator_type(name), "asks_belief", False)
    values = dict(fields)
    if features is not None and not automatic:
        refuse_unseen_features(fields)
    if features is not None and (asks or not automatic) and values.get("belief", "features") in BY_FEATURES:
        values = {"belief": "features"} | values | {"features": features}
    elif features is not None and values.get("cost") == "tokens":
        values["features"] = features
    if offline_samples is not None:
        values["offline_samples"] = offline_samples  # refused there, if they come without rates
    if offline_rates is not None:
        values["offline_rates"] = offline_rates
        if asks:
            values.setdefault("belief", "pooled")
    return values


def refuse_unseen_features(fields: Mapping[str, Any]) -> None:
    """Refuse features that somebody asked for, and that nothing would look at.

    Args:
        fields: the user's own settings of the allocator.

    Raises:
        ConfigurationError: they name a belief that goes by outcomes alone, and no cost that goes by features.
    """
    belief = fields.get("belief", "features")
    if belief not in BY_FEATURES and fields.get("cost") != "tokens":
        raise ConfigurationError(
            f"belief={belief} does not look at features, so naming them would do nothing; leave one of the two out, or "
            f"choose belief={BY_FEATURES[0]}"
        )


def refuse_other_knowledge(saved: RolloutAllocator, now: RolloutAllocator) -> None:
    """Refuse to go on where a saved allocator left off, if other things are known of its prompts now.

    It keeps what it was told, so that what is given now would do nothing, without a word.

    Args:
        saved: from a checkpoint.
        now: of this training, new.

    Raises:
        CheckpointError: features or offline rates differ; the message names which.
    """
    was, is_ = (_entries(allocator) for allocator in (saved, now))
    differing = [name for name in sorted(was.keys() | is_.keys()) if not _equal(was.get(name), is_.get(name))]
    if differing:
        raise CheckpointError(
            f"the saved allocator was told other {' and '.join(differing).replace('_', ' ')} of its prompts than this "
            "training has; resume with what it was told, or begin a new allocator with fresh_start"
        )


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of each prompt of the pool before it is tried.

    Args:
        features: `[M, d]`, or None.
        offline_rates: `[M]`, or None.
        offline_samples: `[M]`, or None.
        given: whether the user asked for any of it.
    """

    features: ArrayLike | None = None
    offline_rates: ArrayLike | None = None
    offline_samples: ArrayLike | None = None
    given: bool = False

    def told(self, allocator: str, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Settings of an allocator by name, with these arrays and a belief that looks at them."""
        return told_before(
            allocator,
            fields,
            features=self.features,
            offline_rates=self.offline_rates,
            offline_samples=self.offline_samples,
            automatic=not self.given,
        )


def informed_fields(name: str, scope: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The user's own settings, and where prompts are chosen by what is known of them, the belief that looks at it.

    >>> informed_fields("cero", "window", {}), informed_fields("hora", "window", {})
    ({'belief': 'features'}, {})
    """
    asks = getattr(allocator_type(name), "asks_belief", False)
    return {"belief": "features", **fields} if scope == "window" and asks else dict(fields)


def features_help(scope: str, fields: Mapping[str, Any] | None) -> bool:
    """Whether features are made without being asked for: prompts are chosen by them, or a belief that is named is.

    >>> features_help("window", None), features_help("batch", {"belief": "gp"}), features_help("batch", {})
    (True, True, False)
    """
    return scope == "window" or (fields or {}).get("belief") in BY_FEATURES


def by_features(config: AllocatorConfig) -> bool:
    """Whether an allocator looks at features: to expect successes by them, or lengths.

    >>> from cero_api import CeroConfig
    >>> by_features(CeroConfig(num_prompts=64, rounds=4, budget=64, offer="window", cost="tokens"))
    True
    """
    return config.belief in BY_FEATURES or config.cost == "tokens"


def _entries(allocator: RolloutAllocator) -> dict[str, NDArray[Any]]:
    knowledge: Knowledge | None = getattr(allocator, "knowledge", None)
    return knowledge.entries() if knowledge else {}


def _equal(one: NDArray[Any] | None, other: NDArray[Any] | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.size == other.size and np.array_equal(one.ravel(), other.ravel(), equal_nan=True)


def _length(prompt: object) -> int:
    if isinstance(prompt, str):
        return len(prompt)
    if isinstance(prompt, Mapping):  # a message, or a part of one, such as {"type": "text", "text": "Why?"}
        return _length(prompt.get("content", prompt.get("text")))
    if isinstance(prompt, list | tuple | np.ndarray):  # a chat, or the parts of a message
        return sum(_length(one) for one in prompt)
    return 0


def _columns(name: str, values: Sequence[object]) -> NDArray[Any]:
    plain: list[Any] = [_plain(value) for value in values]
    given = [value for value in plain if value is not None]
    if all(isinstance(value, int | float) for value in given):
        return _filled([[math.nan if value is None else value] for value in plain])
    if all(isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value) for value in given):
        sizes = sorted({len(value) for value in given})
        if len(sizes) > 1:
            raise ConfigurationError(
                f"column {name!r} has vectors of {sizes[0]} to {sizes[-1]} numbers; give all of one length, or leave "
                "the column out"
            )
        return _filled([[math.nan] * sizes[0] if value is None else value for value in plain])
    counts = Counter(map(str, plain))
    frequent = [value for value, _ in counts.most_common(_CLASSES)]
    named = sum(counts[value] for value in frequent)
    if 2 * named < len(plain):
        warnings.warn(
            f"column {name!r} has {len(counts)} different values, and only the {_CLASSES} most frequent are told "
            f"apart, which {named} of {len(plain)} prompts have; name a coarser column, or one of numbers, instead",
            CeroWarning,
            stacklevel=3,
        )
    return np.array([[str(value) == one for one in sorted(frequent)] for value in plain], dtype=np.float64)


def _plain(value: Any) -> Any:
    """A value of numpy's, torch's or a decimal column's, as Python's own."""
    if isinstance(value, Decimal):
        return float(value)
    return value.tolist() if hasattr(value, "tolist") else value


def _filled(table: Sequence[Sequence[float]]) -> NDArray[Any]:
    """Numbers `[M, d]`, missing ones being the mean of their column."""
    numbers = np.array(table, dtype=np.float64)
    known = np.isfinite(numbers)
    total = np.where(known, numbers, 0.0).sum(axis=0)
    return np.where(known, numbers, total / np.maximum(known.sum(axis=0), 1))
