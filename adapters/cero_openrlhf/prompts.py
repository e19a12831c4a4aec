"""Which prompt is which: by what it says, for OpenRLHF's datasets have no index."""

from __future__ import annotations

import hashlib
from typing import Any

from cero_api import PromptIndex, content_key
from cero_api._types import FloatArray
from cero_api.adapting import prompt_features
from cero_api.errors import PromptError


class DatasetIndex:
    """Rows of the allocator's pool for the prompts of OpenRLHF's train dataset.

    Rows of the dataset that agree in prompt, label and images are one prompt, with one belief about it.

    Args:
        dataset: OpenRLHF's `PromptDataset`.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        first: dict[str, int] = {}
        columns = zip(dataset.prompts, dataset.labels, dataset.images, strict=True)
        for place, (prompt, label, image) in enumerate(columns):
            first.setdefault(_key(prompt, label, image), place)
        self._places = list(first.values())
        self._index = PromptIndex(first)

    def __len__(self) -> int:
        return len(self._index)

    @property
    def fingerprint(self) -> str:
        """Equal for equal prompts in equal order."""
        return self._index.fingerprint

    def rows(self, prompts: list[str], labels: list[Any], images: list[Any]) -> list[int]:
        """Rows of prompts that the loader drew.

        Raises:
            PromptError: one is not in the dataset.
        """
        keys = [_key(*parts) for parts in zip(prompts, labels, images, strict=True)]
        rows: list[int] = self._index.row_ids(keys).tolist()
        return rows

    def features(self) -> FloatArray:
        """What is known of each prompt before it is tried, float64 `[M, d]`: its length, and its datasource."""
        prompts = [self._dataset.prompts[place] for place in self._places]
        sources = getattr(self._dataset, "datasources", None)
        columns = {} if sources is None else {"datasource": [sources[place] for place in self._places]}
        return prompt_features(prompts, columns)

    def prompt(self, row: int) -> tuple[str, Any, Any]:
        """Prompt, label and images of a row."""
        place = self._places[row]
        return self._dataset.prompts[place], self._dataset.labels[place], self._dataset.images[place]


def _key(prompt: str, label: Any, image: Any) -> str:
    return content_key(prompt, content(label), content(image))


def content(value: Any) -> str:
    """What a label or an image says, the same in every process: pictures and arrays by their bytes.

    Raises:
        PromptError: it is an object of which only the address is known.

    >>> content(["a.png", None]), content({"index": 3})
    ("['a.png', None]", "{'index': 3}")
    """
    if isinstance(value, list | tuple):
        inside = ", ".join(map(content, value))
        return f"[{inside}]" if isinstance(value, list) else f"({inside})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {content(part)}" for name, part in value.items()) + "}"
    if hasattr(value, "tobytes"):  # a PIL picture, an array
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        shape = getattr(value, "size", None) if hasattr(value, "mode") else getattr(value, "shape", None)
        return f"<{getattr(value, 'mode', None) or getattr(value, 'dtype', '')} {shape} {digest}>"
    if type(value).__repr__ is object.__repr__:  # type: ignore[comparison-overlap]  # inherited, so it may well be
        raise PromptError(
            f"the dataset has a {type(value).__name__} beside its prompts, which differs in every process; give it as "
            "text, a path, bytes or a picture"
        )
    return repr(value)
