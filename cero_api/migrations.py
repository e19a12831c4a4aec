"""How a state that an earlier version wrote becomes one of this version."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cero_api.errors import CheckpointError
from cero_api.state import no_floats, no_integers, plain, plain_array

# Of what `state_dict` and `save_allocator` give. A release that changes the fields of a state raises it and adds its
# step below; one that changes a configuration, too, does so in cero_api/checkpoint.py.
VERSION = 6


def _to_2(entries: dict[str, Any]) -> None:
    """A training may be given another length; those before never were."""
    entries.setdefault("plan.round", 0)
    entries.setdefault("plan.spent", 0)


def _to_3(entries: dict[str, Any]) -> None:
    """Graded rewards are known by their spread too; those that a state has count as successes and failures."""
    for known, new in (("successes", "graded"), ("last_successes", "last_graded")):
        if known in entries:
            entries.setdefault(new, no_floats())
    squares = plain_array(entries.get("ledger.open_successes"))
    if squares is not None:
        entries.setdefault("ledger.open_squares", squares.copy())


def _to_4(entries: dict[str, Any]) -> None:
    """What share of the latest round could have gone elsewhere is said; and in a header, whose the state is."""
    entries.setdefault("decidable", 0.0)
    entries.setdefault("tokens", 0.0)
    entries.setdefault("parts.window.order", no_integers())
    entries.setdefault("parts.window.cursor", 0)


def _to_5(entries: dict[str, Any]) -> None:
    """The signal of complete groups is summed up; what it was before nobody knows, so it begins anew."""
    entries.setdefault("ledger.scored", 0.0)
    entries.setdefault("ledger.signal_sum", 0.0)


def _to_6(entries: dict[str, Any]) -> None:
    """CoBA-RL knows the spread of its latest visits too; those that a state has count as successes and failures."""
    if "visit_successes" in entries:
        entries.setdefault("visit_graded", no_floats())


# How the entries of a state of version n become those of version n + 1, in place.
STEPS: dict[int, Callable[[dict[str, Any]], None]] = {1: _to_2, 2: _to_3, 3: _to_4, 4: _to_5, 5: _to_6}


def header(kind: type) -> dict[str, Any]:
    """What a state of this class says of itself, beside its entries; a name, too, is a plain array.

    >>> header(dict)
    {'version': 6, 'allocator': array([100, 105,  99, 116])}
    """
    return {"version": VERSION, "allocator": np.array(list(kind.__name__.encode()), dtype=np.int64)}


def entries_of(state: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """The entries of a state, brought up to date, without its header; before version 4 there was none.

    Raises:
        CheckpointError: it is another allocator's, or of a later version.
    """
    if not isinstance(state, Mapping):
        raise CheckpointError(f"a state is a dictionary of arrays and numbers, not {type(state).__name__}; give that")
    entries = dict(state)
    own = {name: entries.pop(name) for name in header(kind) if name in entries}
    if len(own) == 1:
        raise CheckpointError(
            f"this is not a state of this allocator: of its header it has {next(iter(own))!r} alone; load it as it was "
            "saved"
        )
    version, owner = plain(own.get("version", 1)), _name(own.get("allocator"))
    if type(version) is not int or not 1 <= version <= VERSION:
        raise CheckpointError(
            f"this state has version {version!r}, this library reads 1 to {VERSION}; install the version of cero-api "
            "that wrote it"
        )
    if own and owner != kind.__name__:
        raise CheckpointError(
            f"this is not a state of this allocator, which is a {kind.__name__}: it is of {owner!r}; load it into the "
            "kind of allocator that saved it"
        )
    for number in range(version, VERSION):
        STEPS[number](entries)
    return entries


def _name(value: Any) -> str | None:
    """What `header` made an array of; None if there is none."""
    letters = plain_array(value)
    if letters is None:
        return None if value is None else repr(value)
    try:
        return bytes(letters.tolist()).decode()
    except (TypeError, ValueError):  # anything may stand in a damaged state
        return repr(value)
