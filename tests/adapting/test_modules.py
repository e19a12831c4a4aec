"""Modules of users: imported, or refused by what they were named with, whatever they raise."""

import sys
from pathlib import Path

import pytest

from cero_api.adapting.modules import import_users
from cero_api.errors import ConfigurationError


def test_a_module_is_imported_or_the_option_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "users_good.py").write_text("VALUE = 1")
    (tmp_path / "users_bad.py").write_text("1 / 0")
    import_users("users_good", "--module users_good")
    assert sys.modules["users_good"].VALUE == 1
    for name, cause in (("users_bad", "ZeroDivisionError"), ("users_missing", "ModuleNotFoundError")):
        with pytest.raises(
            ConfigurationError, match=rf"--module {name} cannot be imported \({cause}.* correct the name"
        ):
            import_users(name, f"--module {name}")
