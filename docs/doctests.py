"""Shows the doctests of docstrings as code: without this Markdown takes `>>>` for a quotation, thrice."""

from __future__ import annotations

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"^>>> .*(?:\n(?!\n|$).*)*", re.MULTILINE)


class Doctests(griffe.Extension):
    """Puts every doctest, up to the next empty line, into a fence."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called once for each object that was loaded, but for a package's own module."""
        if obj.docstring is not None and "```" not in obj.docstring.value:
            obj.docstring.value = _DOCTEST.sub(r"```pycon\n\g<0>\n```", obj.docstring.value)

    def on_module(self, *, mod: griffe.Module, **kwargs: Any) -> None:
        """Called for every module."""
        self.on_object(obj=mod)
