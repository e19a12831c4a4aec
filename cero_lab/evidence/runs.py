"""Everything that has been run, as it was configured today."""

from __future__ import annotations

from pathlib import Path

from cero_lab.evidence.record import Record, load, same_training
from cero_lab.evidence.regimes import REGIMES
from cero_lab.evidence.variants import VARIANTS, run_settings

Runs = dict[str, dict[str, dict[int, Record]]]  # regime, variant, seed


def read_all(folder: Path) -> Runs:
    """Every result whose settings are the current ones."""
    runs: Runs = {}
    for regime in REGIMES:
        for variant in VARIANTS:
            for path in sorted((folder / regime).glob(f"{variant}-seed*.json")):
                seed = int(path.stem.rpartition("seed")[2])
                found = load(path)
                if found is None:
                    continue
                if not same_training(found.settings, run_settings(regime, variant, seed, found.settings.start)):
                    continue
                runs.setdefault(regime, {}).setdefault(variant, {})[seed] = found
    return runs
