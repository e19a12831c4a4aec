"""What did the grid's published trainings save? The table that `cero advise` reads, from docs/evidence/grid.

    python benchmarks/savings.py

Writes the table, and what the commands of docs/advise.md print with it. To be run whenever these records change; tests
hold the table and the page to them. Needs no training; the extra `cli`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from cero_lab.evidence.page import fill
from cero_lab.grid.savings import savings_table, write_table

ROOT = Path(__file__).parents[1]
RECORDS = ROOT / "docs/evidence/grid"
TABLE = ROOT / "cero_api/analysis/advice/savings.json"
PAGE = ROOT / "docs/advise.md"


def printed(page: Path) -> dict[str, str]:
    """What the commands of a page print, by the name of the marks that follow each; its first Python block is run."""
    text = page.read_text(encoding="utf-8")
    example = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert example is not None
    blocks = {}
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-c", example[1]], cwd=folder, check=True)
        for command, name in re.findall(r"```sh\n(cero .*?)\n```\n+<!-- begin (\w+) -->", text):
            program = [sys.executable, "-c", "from cero_api.cli.app import main; main()", *shlex.split(command)[1:]]
            environment = {**os.environ, "COLUMNS": "80"}
            done = subprocess.run(
                program, cwd=folder, env=environment, check=True, capture_output=True, text=True, encoding="utf-8"
            )
            lines = "\n".join(line.rstrip() for line in done.stdout.splitlines()).strip()
            blocks[name] = f"```text\n{lines}\n```"
    return blocks


def main() -> None:
    """Fill the table and the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    table = savings_table(RECORDS)
    write_table(table, TABLE)
    savings = sum(len(regime["savings"]) for regime in table["regimes"])
    print(f"{TABLE.relative_to(ROOT)}: {savings} compositions in {len(table['regimes'])} regimes")
    print(f"{PAGE.relative_to(ROOT)}: {', '.join(fill(PAGE, printed(PAGE)))}")


if __name__ == "__main__":
    main()
