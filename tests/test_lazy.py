"""A name is imported from its home when somebody asks for it, and not before."""

import importlib
import subprocess
import sys

import pytest

from cero_api.lazy import lazy_exports


def test_a_name_is_that_of_its_home() -> None:
    get = lazy_exports("cero_api", {"make_allocator": "allocators", "Desk": "nowhere"})
    assert get("make_allocator") is importlib.import_module("cero_api.allocators").make_allocator
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        get("Desk")


def test_an_unknown_name_is_pythons_own_error() -> None:
    with pytest.raises(AttributeError, match="module 'cero_api' has no attribute 'made_up'"):
        lazy_exports("cero_api", {"make_allocator": "allocators"})("made_up")


@pytest.mark.parametrize("package", ["cero_api", "cero_trl", "cero_verl", "cero_openrlhf", "cero_ray", "cero_tinker"])
def test_a_package_imports_nothing_of_its_own_until_it_is_asked(package: str) -> None:
    program = (
        f"import sys, {package}\n"
        f"loaded = [name for name in sys.modules if name.startswith('{package}.') and name != 'cero_api.lazy']\n"
        "heavy = [name for name in ('numpy', 'torch', 'ray', 'tinker', 'trl', 'verl') if name in sys.modules]\n"
        "print(loaded, heavy)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told.strip() == "[] []"
