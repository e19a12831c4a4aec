"""Checks a built site: `python docs/check.py site`. Exits with 1 and the faults, one a line.

Every link and anchor leads somewhere, nothing is loaded from another host, and every public symbol has its entry.
"""

from __future__ import annotations

import re
import sys
import zlib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SURFACE = Path(__file__).parents[1] / "tests" / "data" / "public_surface.txt"

# What a browser fetches by itself; a link that a reader follows may lead anywhere.
LOADED = {
    ("script", "src"),
    ("link", "href"),
    ("img", "src"),
    ("iframe", "src"),
    ("source", "src"),
    ("source", "srcset"),
}


class Page(HTMLParser):
    """The anchors of a page, and what it refers to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[tuple[str, bool]] = []  # target, and whether it is loaded by itself
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by the parser."""
        given = {name: value for name, value in attrs if value}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        for name in ("href", "src", "srcset"):
            # A canonical address, and the like, is not fetched.
            if name in given and given.get("rel") not in ("canonical", "next", "prev", "edit"):
                self.links.append((given[name], (tag, name) in LOADED))


def faults(site: Path) -> list[str]:
    """What is wrong with the site.

    Args:
        site: its folder.

    Returns:
        One line for each fault.
    """
    pages = {file: Page(file) for file in sorted(site.rglob("*.html"))}
    found = []
    for file, page in pages.items():
        for target, loaded in page.links:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                if loaded and parts.scheme != "data":
                    found.append(f"{file}: loads {target}")
                continue
            path = unquote(parts.path)
            base = site / path.lstrip("/") if path.startswith("/") else file.parent / path
            goal = (base / "index.html" if base.is_dir() else base).resolve() if path else file.resolve()
            if not goal.is_file():
                found.append(f"{file}: {target} leads nowhere")
            elif parts.fragment and goal.suffix == ".html":
                known = next((other for other in pages if other.resolve() == goal), None)
                if known is not None and unquote(parts.fragment) not in pages[known].anchors | {"__skip"}:
                    found.append(f"{file}: {target} has no such anchor")
    for style in sorted(site.rglob("*.css")):
        for target in re.findall(r"url\(\s*[\"']?([^\"')]+)", style.read_text(encoding="utf-8")):
            if urlsplit(target).netloc:
                found.append(f"{style}: loads {target}")
            elif not target.startswith(("data:", "#")) and not (style.parent / urlsplit(target).path).is_file():
                found.append(f"{style}: {target} leads nowhere")
    listed = documented(site)
    for line in SURFACE.read_text(encoding="utf-8").splitlines():
        symbol = re.match(r"(?:class|def) ([\w.]+)", line)
        if symbol and symbol[1] not in listed:
            found.append(f"{symbol[1]} is public and not in the reference; add it to a page under docs/api/")
    return found


def documented(site: Path) -> set[str]:
    """Names in the site's inventory, which mkdocstrings writes."""
    inventory = (site / "objects.inv").read_bytes()
    _, _, packed = inventory.partition(b"using zlib.\n")
    return {line.split(" ", 1)[0] for line in zlib.decompress(packed).decode().splitlines()}


if __name__ == "__main__":
    wrong = faults(Path(sys.argv[1]))
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(bool(wrong))
