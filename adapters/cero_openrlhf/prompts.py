"""Which prompt is which: by what it says, for OpenRLHF's datasets have no index."""

from __future__ import annotations

from typing import Any

from cero_api import PromptIndex, content_key


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

    def prompt(self, row: int) -> tuple[str, Any, Any]:
        """Prompt, label and images of a row."""
        place = self._places[row]
        return self._dataset.prompts[place], self._dataset.labels[place], self._dataset.images[place]


def _key(prompt: str, label: Any, image: Any) -> str:
    return content_key(prompt, repr(label), repr(image))
