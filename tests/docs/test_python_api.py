"""The examples of docs/python_api.md run, at a small size."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.tiny import SHRUNK

PAGE = Path(__file__).parents[2] / "docs" / "python_api.md"


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 3
    small = ", ".join(map(repr, SHRUNK))
    names: dict[str, object] = {}
    for example in examples:
        exec(example.replace('"profile=tiny"', small), names)
    assert sorted(names["scores"]) == [1, 2]  # type: ignore[call-overload]
    assert (tmp_path / "outputs" / "tiny" / "result.json").is_file()
