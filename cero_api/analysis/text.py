"""Text that people chose, such as labels and paths, made safe to show: the one gate of consoles, plots and pages."""

from __future__ import annotations

import unicodedata

# Controls, surrogates and separators of lines; and marks that turn the direction of what follows.
_HIDDEN = {"Cc", "Cs", "Zl", "Zp"}
_TURNING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def plain_text(text: object, lines: bool = False) -> str:
    r"""Text as it reads: what would move a cursor, color a terminal or break an encoding is shown by its escape.

    Args:
        text: anything with a string.
        lines: keep line breaks.

    >>> plain_text("cero\x1b[31m\n"), plain_text("ünï [/] $x$"), plain_text("\ud83d")
    ('cero\\x1b[31m\\n', 'ünï [/] $x$', '\\ud83d')
    """
    said = str(text)
    if said.isprintable():
        return said
    return "".join(
        char.encode("unicode_escape").decode() if _hidden(char) and not (lines and char == "\n") else char
        for char in said
    )


def plot_label(text: object, longest: int = 48) -> str:
    """Text as a plot has room for it, with its middle left out; and never one that matplotlib would hide.

    What it says between dollars is no formula: whoever draws it turns that off (`Text.set_parse_math`).

    Args:
        text: anything with a string.
        longest: characters that there is room for.

    >>> plot_label("_base"), len(plot_label("x" * 1000))
    (' _base', 48)
    """
    said = plain_text(text)
    if len(said) > longest:
        half = longest // 2
        said = f"{said[: half - 1]}…{said[-half:]}"
    return f" {said}" if said.startswith("_") else said


def _hidden(char: str) -> bool:
    return char in _TURNING or unicodedata.category(char) in _HIDDEN
