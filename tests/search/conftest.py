"""A search of small students, made once for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.searching import WORDS, Searched, search_with


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Searched:
    folder = tmp_path_factory.mktemp("frontier") / "search"
    return search_with([*WORDS, f"store.dir={store}", f"output_dir={folder}"], [])
