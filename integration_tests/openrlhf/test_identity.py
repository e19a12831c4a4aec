"""Which prompt is which: by content, the same in every process, pictures among it."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cero_api.errors import PromptError
from cero_openrlhf.prompts import DatasetIndex, content


def picture(level: int) -> Any:
    return Image.fromarray(np.full((4, 4, 3), level, dtype=np.uint8))


def dataset(images: list[Any]) -> Any:
    return SimpleNamespace(prompts=["What is it?"] * len(images), labels=["1"] * len(images), images=images)


def test_pictures_are_known_by_what_they_show() -> None:
    first = DatasetIndex(dataset([picture(1), [picture(2)], None, "a.png"]))
    again = DatasetIndex(dataset([picture(1), [picture(2)], None, "a.png"]))
    assert first.fingerprint == again.fingerprint
    assert again.rows(["What is it?"] * 2, ["1"] * 2, [[picture(2)], picture(1)]) == [1, 0]
    assert len(DatasetIndex(dataset([picture(1), picture(1), picture(2)]))) == 2


def test_another_process_knows_them_too() -> None:
    code = (
        "import numpy as np; from PIL import Image; from cero_openrlhf.prompts import content;"
        "print(content([Image.fromarray(np.full((4, 4, 3), 7, dtype=np.uint8)), np.arange(4)]))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert told == content([picture(7), np.arange(4)])


def test_what_has_no_content_is_refused_at_the_start() -> None:
    with pytest.raises(PromptError, match="give it as text, a path, bytes or a picture"):
        DatasetIndex(dataset([object()]))
