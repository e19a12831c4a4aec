"""What the train dataset tells of its prompts before they are tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import ArrayLike

from cero_api.adapting import SOURCES, prompt_features
from cero_api.adapting.known import Known, numbers_in_column
from cero_api.errors import ConfigurationError

__all__ = ["Known", "known_of"]


def known_of(
    dataset: Dataset,
    features: ArrayLike | str | Sequence[str] | None,
    offline_rates: str | ArrayLike | None,
    offline_samples: str | ArrayLike | None,
    automatic: bool,
) -> Known:
    """Read what was asked for; where nothing was, and it helps, the length of a prompt and its source.

    Args:
        dataset: the train dataset.
        features: an array `[M, d]`, or names of columns beside the length; None is what there is.
        offline_rates: pass rates, or the name of their column.
        offline_samples: from how many samples each is, or the name of their column.
        automatic: whether features are made without being asked for.

    Raises:
        ConfigurationError: a column is missing, or of something else than numbers.
    """
    features = [features] if isinstance(features, str) else features
    named = isinstance(features, list | tuple) and all(isinstance(name, str) for name in features)
    given = any(what is not None for what in (features, offline_rates, offline_samples))
    values: ArrayLike | None = None
    if named or (features is None and automatic):
        names = [str(name) for name in np.atleast_1d(np.asarray(features))] if named else []
        names = names or [name for name in SOURCES if name in dataset.column_names]
        prompts = _column(dataset, "prompt") if "prompt" in dataset.column_names else [""] * len(dataset)
        values = prompt_features(prompts, {name: _column(dataset, name) for name in names})
    elif features is not None:
        values = features
    return Known(values, _array(dataset, offline_rates), _array(dataset, offline_samples), given)


def _array(dataset: Dataset, given: str | ArrayLike | None) -> ArrayLike | None:
    if not isinstance(given, str):
        return given
    return numbers_in_column(given, _column(dataset, given))


def _column(dataset: Dataset, name: str) -> list[Any]:
    if name not in dataset.column_names:
        raise ConfigurationError(f"the train dataset has no column {name!r}; it has {', '.join(dataset.column_names)}")
    return list(dataset[name])
