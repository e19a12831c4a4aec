"""What is installed: the two dependencies of the core, the import names, the types, the wheel's contents."""

import ast
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import zipfile

import pytest

import cero_api

PACKAGE = pathlib.Path(cero_api.__file__).parent
PYPROJECT = tomllib.loads((pathlib.Path(__file__).parents[1] / "pyproject.toml").read_text())
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
    *("torch", "transformers", "trl", "verl", "openrlhf", "ray", "accelerate", "datasets"),
    *("typer", "rich", "scipy", "pandas", "matplotlib", "pytest", "hypothesis"),
    *(name for name in IMPORT_NAMES if name != "cero_api"),
}


@pytest.mark.parametrize("path", CORE_SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_the_core_imports_numpy_and_pydantic_only(path: pathlib.Path) -> None:
    allowed = sys.stdlib_module_names | {"numpy", "pydantic", "cero_api"}
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert node.module is not None
            imported.add(node.module.partition(".")[0])
    assert imported <= allowed, f"{path.name} imports {sorted(imported - allowed)}"


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


def test_nobody_is_told_to_install_from_an_index_what_is_on_none() -> None:
    root = pathlib.Path(__file__).parents[1]
    if not (root / "docs").is_dir():
        pytest.skip("the sources are not beside the tests of the wheel")
    folders = ("cero_api", "cero_lab", "adapters", "docs")
    texts = [path for folder in folders for path in (root / folder).rglob("*") if path.suffix in (".py", ".md")]
    told = re.compile(r"pip install [^\n]*(?<!in a clone of )\bcero-api")
    assert [path for path in [root / "README.md", *texts] if told.search(path.read_text(encoding="utf-8"))] == []
