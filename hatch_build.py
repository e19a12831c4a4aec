"""The README as a package index shows it: without links and pictures that only lead somewhere in a clone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)
_PICTURE = re.compile(r"!\[(?P<text>[^\]]*)\]\((?P<path>[^):#]+)\)")
# Of a text, or of a picture from elsewhere, such as a badge.
_LINK = re.compile(r"(?<!!)\[(?P<text>!\[[^\]]*\]\([^)]*\)|[^\]]*)\]\((?P<path>[^):#]+)(?P<anchor>#[^)]*)?\)")


def for_an_index(text: str, repository: str | None = None, version: str = "") -> str:
    """A README whose relative links are absolute, at a version's tag; without a repository they are plain text.

    Args:
        text: of the README.
        repository: address of a public clone, as GitHub has them; None is none.
        version: whose tag `v…` is linked to.

    >>> text = "[how](docs/how.md#why) ![a curve](docs/a.svg) [paper](https://arxiv.org)"
    >>> print(for_an_index(text, "https://host/it", "1.0").replace(" ", chr(10)))
    [how](https://host/it/blob/v1.0/docs/how.md#why)
    ![a
    curve](https://host/it/raw/v1.0/docs/a.svg)
    [paper](https://arxiv.org)
    >>> for_an_index(text)
    'how  [paper](https://arxiv.org)'
    """

    def picture(found: re.Match[str]) -> str:
        return "" if repository is None else f"![{found['text']}]({repository}/raw/v{version}/{found['path']})"

    def link(found: re.Match[str]) -> str:
        if repository is None:
            return found["text"]
        return f"[{found['text']}]({repository}/blob/v{version}/{found['path']}{found['anchor'] or ''})"

    parts = _FENCED.split(text)  # odd ones are code
    parts[::2] = [_LINK.sub(link, _PICTURE.sub(picture, _COMMENT.sub("", part))) for part in parts[::2]]
    return "".join(parts)


class CustomMetadataHook(MetadataHookInterface):
    """Fills in `readme`, which is dynamic in pyproject.toml, by its `Repository`, once `[project.urls]` has one."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the field.

        Args:
            metadata: of the project; changed in place.
        """
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        shown = for_an_index(text, repository and repository.rstrip("/"), metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": shown}
