"""The prompts of a user's dataset, by number: which batch and place each has, and what is known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tinker_cookbook.rl.problem_env import ProblemGroupBuilder

from cero_api.adapting import prompt_features
from cero_api.adapting.known import Known
from cero_api.errors import ConfigurationError


class Prompts:
    """Every group builder of a dataset, read once; a prompt is known by its place, or by a key of the user's.

    Args:
        dataset: the cookbook's `RLDataset`, which hands out the same batch whenever it is asked for it.
        key: what tells prompts apart, of a builder; None is the place in the dataset. Builders with one key are one
            prompt, wherever they stand.
        size: of a builder: how many environments it makes.

    Raises:
        ConfigurationError: a builder does not say its size, or its key is no text.
    """

    def __init__(self, dataset: Any, size: Callable[[Any], int], key: Callable[[Any], str] | None = None) -> None:
        self._dataset = dataset
        self.sizes: list[list[int]] = []
        self.rows: list[NDArray[np.int64]] = []  # of each batch: row of the prompt at each place
        self.tags: list[str] = []  # [M]
        self.texts: list[str] = []  # [M], empty where a builder does not say
        self._home: list[tuple[int, int]] = []  # [M]: batch and place of each prompt
        known: dict[str, int] = {}
        for index in range(len(dataset)):
            builders, rows = dataset.get_batch(index), []
            for place, builder in enumerate(builders):
                name = f"{index}.{place}" if key is None else key(builder)
                if not isinstance(name, str):
                    raise ConfigurationError(
                        f"key= gave {name!r} for a {type(builder).__name__}; return a text that tells prompts apart"
                    )
                if name not in known:
                    known[name] = len(known)
                    self._home.append((index, place))
                    self.tags.append("/".join(builder.logging_tags()))
                    self.texts.append(text_of(builder))
                rows.append(known[name])
            self.sizes.append([size(builder) for builder in builders])
            self.rows.append(np.array(rows, dtype=np.int64))
        self.repeats = any(np.unique(rows).size < rows.size for rows in self.rows)
        parts = [[len(rows) for rows in self.rows], list(known) if key else self.texts, self.tags]
        self.fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def __len__(self) -> int:
        return len(self._home)

    def candidates(self, index: int) -> NDArray[np.int64]:
        """Rows of a batch's prompts, int64 `[P]`, in order and without repeats."""
        return np.array(list(dict.fromkeys(self.rows[index].tolist())), dtype=np.int64)

    def builders(self, rows: Sequence[int], index: int | None = None) -> list[Any]:
        """A builder for each of these rows, from the batch `index` where it has it, and else from its home."""
        batches: dict[int, Sequence[Any]] = {}
        here = {} if index is None else {int(row): place for place, row in reversed(list(enumerate(self.rows[index])))}
        found = []
        for row in rows:
            batch, place = (index, here[row]) if index is not None and row in here else self._home[row]
            if batch not in batches:
                batches[batch] = self._dataset.get_batch(batch)
            found.append(batches[batch][place])
        return found

    def named(self, row: int) -> str:
        """A prompt in words, for a warning."""
        batch, place = self._home[row]
        return f"{row} (batch {batch}, place {place}){f', {self.texts[row]!r}' if self.texts[row] else ''}"

    def known(
        self, features: ArrayLike | None, offline_rates: ArrayLike | None, offline_samples: ArrayLike | None, auto: bool
    ) -> Known:
        """What is known of prompts before they are tried; where nothing was given and it helps, length and tags."""
        given = features is not None or offline_rates is not None
        if features is None and auto and (any(self.texts) or len(set(self.tags)) > 1):
            features = prompt_features(self.texts, {"tags": self.tags})
        return Known(features, offline_rates, offline_samples, given)


def text_of(builder: Any) -> str:
    """The question of the cookbook's own builder of problems; empty for any other, which keeps its prompt to itself."""
    return str(builder.env_thunk().get_question()) if isinstance(builder, ProblemGroupBuilder) else ""
