"""What is known of a pool's prompts before they are tried: columns that a user gives, kept as they came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cero_api.errors import ConfigurationError


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Arrays with a row for each prompt of the pool, in its order; what is not known is None.

    Args:
        features: numbers `[M, d]` or `[M]`, d up to 64: a prompt's length, an embedding, and of a class one column of 0
            and 1 for each of its values. They are standardised inside.
        offline_rates: pass rates from 0 to 1, `[M]`: of a data set, of another model, of another run.
        offline_samples: `[M]`, from how many samples each rate is; 0 where there is none. None takes rates for exact.

    >>> Knowledge(features=[[3.0], [5.0]]).entries()
    {'features': array([[3.],
           [5.]])}
    >>> bool(Knowledge())
    False
    """

    features: ArrayLike | None = None
    offline_rates: ArrayLike | None = None
    offline_samples: ArrayLike | None = None

    def __post_init__(self) -> None:
        if self.offline_samples is not None and self.offline_rates is None:
            raise ConfigurationError("offline_samples go with offline_rates; give the rates too")

    def __bool__(self) -> bool:
        """Whether anything is known."""
        return bool(self.entries())

    def entries(self) -> dict[str, NDArray[Any]]:
        """What is known, as plain arrays."""
        known = {name: getattr(self, name) for name in ("features", "offline_rates", "offline_samples")}
        return {name: _plain(value) for name, value in known.items() if value is not None}

    @classmethod
    def parted(cls, fields: Mapping[str, Any]) -> tuple[Self, dict[str, Any]]:
        """What of some keyword arguments is known of prompts, and the rest of them.

        >>> known, rest = Knowledge.parted({"offline_rates": [0.5], "rounds": 3})
        >>> known.entries(), rest
        ({'offline_rates': array([0.5])}, {'rounds': 3})
        """
        names = ("features", "offline_rates", "offline_samples")
        return cls(**{name: fields[name] for name in names if name in fields}), {
            name: value for name, value in fields.items() if name not in names
        }


def _plain(value: ArrayLike) -> NDArray[Any]:
    if hasattr(value, "detach"):  # a tensor, of whichever library, on any device
        value = value.detach().cpu().float().numpy()
    return np.asarray(value)
