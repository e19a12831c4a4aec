"""The rooms of the house, and the doors between them: who may import whom, no circles, no overlong file."""

from __future__ import annotations

import ast
import functools
import pathlib
import subprocess
import sys

import pytest

import cero_api

ROOT = pathlib.Path(__file__).parents[1]
CORE = pathlib.Path(cero_api.__file__).parent
# Import names, and the folders that hold them; where the wheel is tested, the core alone is there.
PLACES = {"cero_api": CORE, "cero_lab": ROOT / "cero_lab"} | {
    path.name: path for path in sorted((ROOT / "adapters").glob("cero_*"))
}
ADAPTERS = [name for name in PLACES if name not in ("cero_api", "cero_lab")]
# What looks back at records; a training imports none of it. What decides is everything else, and the trace that a
# training writes.
LOOKING_BACK = ("cero_api.analysis", "cero_api.cli", "cero_api.history", "cero_api.learning")
HOUSES = ("cero_api", "cero_lab", "adapters", "tests", "integration_tests", "benchmarks", "docs", "examples")
LONGEST = 400
REASON = f"More than {LONGEST} lines:"


@functools.cache
def modules() -> dict[str, pathlib.Path]:
    """Every module of ours by its dotted name."""
    found = {}
    for place, folder in PLACES.items():
        for path in folder.rglob("*.py"):
            parts = [place, *path.relative_to(folder).with_suffix("").parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported_by(module: str) -> set[str]:
    """Our modules that a module names in an import, wherever in the file."""
    names = set()
    for node in ast.walk(ast.parse(modules()[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            # `from package import module` names the module, `from module import name` the module before it.
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name in modules() else node.module for name in whole}
    return names & modules().keys()


def belongs(module: str, rooms: tuple[str, ...]) -> bool:
    return any(module == room or module.startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("module", [name for name in modules() if not belongs(name, (*LOOKING_BACK, "cero_lab"))])
def test_what_decides_knows_nothing_of_what_looks_back(module: str) -> None:
    assert not {name for name in imported_by(module) if belongs(name, (*LOOKING_BACK, "cero_lab"))}


@pytest.mark.parametrize("module", [name for name in modules() if belongs(name, ("cero_api",))])
def test_the_core_knows_no_adapter_and_no_learner(module: str) -> None:
    assert not {name for name in imported_by(module) if not belongs(name, ("cero_api",))}


def test_a_training_loads_nothing_that_looks_back() -> None:
    names = [name for name in modules() if belongs(name, ("cero_api",)) and not belongs(name, LOOKING_BACK)]
    code = f"import importlib, sys; [importlib.import_module(n) for n in {names}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert not [name for name in done.stdout.split() if belongs(name, LOOKING_BACK)]


def test_no_module_imports_itself_by_way_of_others() -> None:
    graph = {module: imported_by(module) - {module} for module in modules()}
    # Whoever imports nothing that is left is no part of a circle; what remains at the end is one.
    while leaves := {module for module, names in graph.items() if not names}:
        graph = {module: names - leaves for module, names in graph.items() if module not in leaves}
    rest = set(graph)
    while roots := rest - set().union(*(graph[module] for module in rest)):
        rest -= roots
    assert not rest, f"these import one another in a circle: {sorted(rest)}"


def source_files() -> list[pathlib.Path]:
    return [path for room in HOUSES for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", source_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_long_file_says_why(path: pathlib.Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST or REASON in text, f"split it, or write '{REASON} …' into its docstring"


def rooms() -> list[str]:
    """Every folder of ours, and of the packages the folders in them, that holds Python."""
    places = [ROOT / name for name in HOUSES]
    inner = [path for place in ("cero_api", "cero_lab", "adapters") for path in (ROOT / place).iterdir()]
    return [
        path.relative_to(ROOT).as_posix()
        for path in sorted([*places, *(path for path in inner if path.is_dir())])
        if path.name != "__pycache__" and any(path.rglob("*.py"))
    ]


@pytest.mark.skipif(
    not (ROOT / "CONTRIBUTING.md").is_file(), reason="the sources are not beside the tests of the wheel"
)
def test_contributing_has_a_line_for_every_room_and_for_no_other() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    block = text.split("## Layout")[1].split("```text\n")[1].split("```")[0]
    named, house = [], ""
    for line in block.splitlines():
        room = line.split()[0].rstrip("/") if line.split() else ""
        if line[:1].strip():
            house = room
            named.append(room)
        elif line[2:3].strip() and line.split()[0].endswith("/"):
            named.append(f"{house}/{room}")
    assert set(rooms()) <= set(named)
    assert [room for room in named if not (ROOT / room).is_dir() and "," not in room] == []


@pytest.mark.parametrize("mark", ["<!doctype html", "<table", "<figure"])
def test_pages_are_written_in_one_place(mark: str) -> None:
    """Where text that somebody chose is made harmless, and tables fit a phone."""
    writers = {name for name, path in modules().items() if mark in path.read_text(encoding="utf-8")}
    assert writers <= {"cero_api.analysis.report.page"}
