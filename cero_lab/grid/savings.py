"""The published trainings of the grid as one small table, which `cero advise` reads: what was saved where."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cero_api.analysis.learning import Match, TrainingResult, compare_regimes, read_trainings
from cero_lab.grid.regimes import regime_of
from cero_lab.grid.variants import CEILINGS

# Of the published trainings whose name says no other, such as window-2-features.
_WINDOW = 4

# Millions of parameters, of the kinds of starts; a test counts them.
PARAMETERS = {"small": 0.1, "demo": 0.65, "large": 3.4, "long": 0.1}


def savings_table(folder: Path) -> dict[str, Any]:
    """What `savings.json` holds.

    Args:
        folder: of the published records.
    """
    records = [record for record in read_trainings([folder]) if "@" not in record.regime]  # the tuning of rates
    results = compare_regimes(records, oracle=CEILINGS).results
    return {"source": "docs/evidence/grid", "regimes": [_regime(name, results[name]) for name in sorted(results)]}


def write_table(table: dict[str, Any], file: Path) -> None:
    """Write it, one line a composition, so that a change can be read.

    Args:
        table: of `savings_table`.
        file: where to.
    """
    regimes = []
    for regime in table["regimes"]:
        head = json.dumps({name: value for name, value in regime.items() if name != "savings"})[:-1]
        rows = ",\n".join(f"    {json.dumps(saving)}" for saving in regime["savings"])
        regimes.append(f'  {head}, "savings": [\n{rows}\n  ]}}')
    head, body = json.dumps(table["source"]), ",\n".join(regimes)
    file.write_text(f'{{"source": {head}, "regimes": [\n{body}\n]}}\n', encoding="utf-8")


def _regime(name: str, results: Mapping[str, TrainingResult]) -> dict[str, Any]:
    place = regime_of(name)
    return {
        "name": name,
        "pool": place.pool,
        "visits": round(place.visits, 2),
        "model": place.model,
        "parameters": PARAMETERS[place.model],
        "group_size": place.train.group_size,
        "effective": round(results["uniform"].effective or 0.0, 3),
        "savings": [saving for label, result in results.items() if (saving := _saving(label, result)) is not None],
    }


def _saving(label: str, result: TrainingResult) -> dict[str, Any] | None:
    found = result.against
    if found is None or found.rollouts is None:
        return None
    width = re.search(r"window(?:-(\d+))?", label)
    saving = {
        "name": label,
        "trainings": found.pairs,
        "starts": found.starts,
        **({} if width is None else {"window": int(width[1] or _WINDOW)}),
        "rollouts": _saved(found.rollouts),
    }
    return saving if found.tokens is None else saving | {"tokens": _saved(found.tokens)}


def _saved(match: Match) -> dict[str, Any]:
    along = match.along
    ends = {"low": round(along.low, 3), "high": round(along.high, 3)} if along.known else {}
    return {"ratio": round(along.value, 3), **ends}
