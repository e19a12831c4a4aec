"""What is installed: the two dependencies of the core, the import names, the types, the wheel's contents."""

import ast
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile

import pytest

import cero_api
from cero_api.adapting.versions import TRAINERS
from cero_api.extras import install_hint

PACKAGE = pathlib.Path(cero_api.__file__).parent
ROOT = pathlib.Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
IMPORT_NAMES = {pathlib.PurePath(p).name for p in PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}
# A namespace that several distributions share, into which ours puts one module.
NAMESPACES = {"hydra_plugins"}
CORE_SOURCES = sorted(p for p in PACKAGE.rglob("*.py") if "cli" not in p.relative_to(PACKAGE).parts)

IMPORT_THE_CORE = """
import importlib, pkgutil, sys
import cero_api
for module in pkgutil.walk_packages(cero_api.__path__, "cero_api."):
    if not module.name.startswith("cero_api.cli"):
        importlib.import_module(module.name)
print(*{name.partition(".")[0] for name in sys.modules})
"""
NOT_IN_THE_CORE = {
    *("torch", "transformers", "trl", "verl", "openrlhf", "tinker", "tinker_cookbook", "ray", "accelerate", "datasets"),
    *("typer", "rich", "scipy", "pandas", "matplotlib", "pytest", "hypothesis"),
    *(name for name in IMPORT_NAMES if name != "cero_api"),
}


@pytest.mark.parametrize("path", CORE_SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_numpy_and_pydantic_only(path: pathlib.Path) -> None:
    allowed = sys.stdlib_module_names | {"numpy", "pydantic", "cero_api"}
    imported = _imported(path)
    assert imported <= allowed, f"{path.name} imports {sorted(imported - allowed)}"


def third_party() -> dict[str, list[str]]:
    """Top-level modules that anything here imports and that are neither Python's nor ours, and the files that do."""
    own = {path.name for folder in (ROOT, ROOT / "adapters", ROOT / "docs") for path in folder.iterdir()}
    found: dict[str, list[str]] = {}
    for place in PYPROJECT["tool"]["mypy"]["files"]:
        for path in _sources(ROOT / place):
            # A script, and a test's helper, stands beside who imports it; within a package that is no way to import.
            beside = (
                set() if path.with_name("__init__.py").exists() else {other.stem for other in path.parent.iterdir()}
            )
            for name in _imported(path) - sys.stdlib_module_names - own - beside:
                found.setdefault(name, []).append(str(path.relative_to(ROOT)))
    return found


def _sources(place: pathlib.Path) -> list[pathlib.Path]:
    return sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _imported(path: pathlib.Path) -> set[str]:
    """Top-level names that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
            names.add(node.module.partition(".")[0])
    return names


def _required(extra: str) -> set[str]:
    """Import names of what an extra installs, by way of our other extras too; they are the distributions' here."""
    names: set[str] = set()
    for line in PYPROJECT["project"]["optional-dependencies"][extra]:
        name, _, extras = re.match(r"([\w.-]+)(\[([^\]]*)\])?", line).groups(default="")  # type: ignore[union-attr]  # it has a name
        names |= set().union(*map(_required, extras.split(","))) if name == "cero-api" else {name.replace("-", "_")}
    return names


def test_types_are_known_of_every_module_that_is_imported_or_it_is_any() -> None:
    """Where the type checker runs there is what the extra `dev` installs, and nothing else."""
    if not (ROOT / "docs").is_dir():
        pytest.skip("the sources are not beside the tests of the wheel")
    always = {re.split(r"[^\w.-]", line)[0] for line in PYPROJECT["project"]["dependencies"]}
    modules = [name for override in PYPROJECT["tool"]["mypy"]["overrides"] for name in override["module"]]
    skipped = {name.partition(".")[0] for name in modules}
    found = third_party()
    assert {"numpy", "torch", "pytest", "trl"} <= found.keys()  # they are looked for at all
    unknown = {name: files for name, files in found.items() if name not in always | _required("dev") | skipped}
    assert not unknown, f"list these among mypy's overrides in pyproject.toml, or in the extra dev: {unknown}"


def test_importing_the_core_loads_no_torch_and_no_trainer() -> None:
    # -P: with no working directory on the path, what is installed is what is imported.
    command = [sys.executable, "-P", "-W", "error", "-c", IMPORT_THE_CORE]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert not NOT_IN_THE_CORE & set(result.stdout.split())


def test_the_distribution_requires_numpy_and_pydantic_only() -> None:
    requires = importlib.metadata.requires("cero-api") or []
    always = {re.split(r"[^\w.-]", line)[0] for line in requires if "extra ==" not in line}
    assert always == {"numpy", "pydantic"}


@pytest.mark.parametrize("name", sorted(IMPORT_NAMES - NAMESPACES))
def test_every_import_name_is_installed_with_its_types(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    assert pathlib.Path(spec.origin).with_name("py.typed").is_file()


@pytest.mark.parametrize("name", sorted(IMPORT_NAMES & NAMESPACES))
def test_a_shared_namespace_has_no_init_and_is_found(name: str) -> None:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is None
    assert importlib.util.find_spec(f"{name}.cero_rollout_allocator") is not None


@pytest.mark.skipif("CERO_WHEEL" not in os.environ, reason="the wheel is checked by `nox -s wheel`")
def test_the_wheel_holds_the_packages_and_nothing_else() -> None:
    assert "site-packages" in PACKAGE.parts, f"imported from {PACKAGE}, not from the wheel"
    with zipfile.ZipFile(os.environ["CERO_WHEEL"]) as wheel:
        names = wheel.namelist()
    info = f"cero_api-{importlib.metadata.version('cero-api')}.dist-info"
    assert {name.partition("/")[0] for name in names} == IMPORT_NAMES | {info}
    assert f"{info}/licenses/LICENSE" in names
    shown = importlib.metadata.metadata("cero-api").json
    assert shown["description_content_type"] == "text/markdown"
    assert not re.search(r"\]\((?!https?://|#)", str(shown["description"]))  # nothing that leads nowhere on an index


def test_nobody_is_told_to_install_from_an_index_what_is_on_none() -> None:
    root = ROOT
    if not (root / "docs").is_dir():
        pytest.skip("the sources are not beside the tests of the wheel")
    folders = ("cero_api", "cero_lab", "adapters", "docs")
    texts = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix in (".py", ".md")]
    told = re.compile(r"pip install [^\n]*\bcero-api")
    assert [path for path in [root / "README.md", *texts] if told.search(path.read_text(encoding="utf-8"))] == []


def test_every_hint_names_an_extra_that_there_is() -> None:
    """And is a command as it stands behind the colon."""
    sources = (path for name in IMPORT_NAMES for path in importlib.util.find_spec(name).submodule_search_locations)  # type: ignore[union-attr]  # another test finds them
    texts = [path.read_text(encoding="utf-8") for folder in sources for path in pathlib.Path(folder).rglob("*.py")]
    hinted = {name for text in texts for name in re.findall(r"install_hint\([\"'](\w+)[\"']\)", text)}
    loaded = {name for text in texts for name in re.findall(r"load_extra\([^)]*, [\"'](\w+)[\"']\)", text)} - {"none"}
    assert {"cli", "demo", "plot"} <= hinted | loaded
    extras = PYPROJECT["project"]["optional-dependencies"]
    for extra in hinted | loaded | set(TRAINERS):
        assert extra in extras
        *_, command = install_hint(extra).partition(": ")
        assert shlex.split(command) == ["pip", "install", f".[{extra}]"]
