"""The learner's tokens: padding, end of sequence, and one for every character."""

from __future__ import annotations

from cero_lab.tasks import ALPHABET

PAD, EOS = "<pad>", "<eos>"
VOCABULARY = {token: number for number, token in enumerate([PAD, EOS, *ALPHABET])}
PAD_ID, EOS_ID = VOCABULARY[PAD], VOCABULARY[EOS]


def encode(text: str) -> list[int]:
    """The tokens of a text of known characters.

    >>> encode("cab")
    [4, 2, 3]
    """
    return [VOCABULARY[character] for character in text]
