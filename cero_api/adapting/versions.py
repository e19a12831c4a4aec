"""The versions of each trainer that its adapter runs with: the one table, from which guard, extras and docs follow."""

from __future__ import annotations

import re
from typing import NamedTuple


class Supported(NamedTuple):
    """A range of versions of one package: the suite runs with its latest, and what a session chooses with its lowest.

    >>> trl = Supported("trl", "1.6.0", "1.16.0", "<1.17")
    >>> trl.requirement, "1.12.0" in trl, "1.17.0" in trl
    ('trl>=1.6.0,<1.17', True, False)
    """

    package: str
    lowest: str
    latest: str
    below: str  # the upper end as a requirement: "<1.17", or "<=0.11.2" where the next is unknown

    @property
    def requirement(self) -> str:
        """As pip takes it."""
        if self.lowest == self.latest:
            return f"{self.package}=={self.latest}"
        return f"{self.package}>={self.lowest},{self.below}"

    @property
    def span(self) -> str:
        """As tables have it: "1.6.0 to 1.16.0"."""
        return self.latest if self.lowest == self.latest else f"{self.lowest} to {self.latest}"

    def __contains__(self, version: object) -> bool:
        """Whether the adapter's suite vouches for this version."""
        given = _numbers(str(version))
        if self.lowest == self.latest:
            return given == _numbers(self.latest)
        end = _numbers(self.below.lstrip("<="))
        below = given <= end if self.below.startswith("<=") else given < end
        return _numbers(self.lowest) <= given and below


def _numbers(version: str) -> tuple[int, ...]:
    """(1, 16, 0) of "1.16.0", "1.16.0.dev0" or "1.16": what orders versions here, without another dependency."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in release[0].split(".")] if release else []
    return tuple([*numbers, 0, 0, 0][: max(3, len(numbers))])


TRAINERS = {
    "trl": Supported("trl", "1.6.0", "1.16.0", "<1.17"),
    "verl": Supported("verl", "0.9.0", "0.9.1", "<0.10"),
    "openrlhf": Supported("openrlhf", "0.10.3", "0.11.2", "<=0.11.2"),
    "tinker": Supported("tinker-cookbook", "0.5.8", "0.6.1", "<0.7"),
}
