"""Stored logits are found by row id, in any order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from distill_runner.errors import DistillError
from distill_runner.models.stored_logits import load, merge, save

IDS = ["row-10", "row-9", "zebra", "a", "naïve/7", "row-1"]
LOGITS = np.arange(12, dtype=np.float64).reshape(6, 2)


def test_rows_are_found_by_id_in_the_order_asked_for(tmp_path: Path) -> None:
    stored = save(tmp_path / "s", IDS, LOGITS)
    order = [4, 0, 5, 1, 0]
    found = stored.of([IDS[at] for at in order])
    assert found.dtype == np.float32
    assert np.array_equal(found, LOGITS[order])


def test_logits_come_back_from_disk_memory_mapped(tmp_path: Path) -> None:
    save(tmp_path / "s", IDS, LOGITS)
    found = load(tmp_path / "s")
    assert found is not None
    assert isinstance(found.logits, np.memmap)
    assert np.array_equal(found.of(IDS), LOGITS)


def test_logits_that_were_never_stored_are_none(tmp_path: Path) -> None:
    assert load(tmp_path / "s") is None


@pytest.mark.parametrize("row", ["row-2", "row-100", "", "zz", "zebra-and-longer-than-any"])
def test_a_missing_row_is_an_error_that_names_it(tmp_path: Path, row: str) -> None:
    stored = save(tmp_path / "s", IDS, LOGITS)
    with pytest.raises(DistillError, match=f"id '{row}'"):
        stored.of(["a", row])


def test_the_logits_of_two_splits_are_read_as_one(tmp_path: Path) -> None:
    first = save(tmp_path / "1", IDS[:4], LOGITS[:4])
    second = save(tmp_path / "2", IDS[4:], LOGITS[4:])
    assert np.array_equal(merge([first, second]).of(IDS), LOGITS)
    assert merge([first]) is first


def test_nothing_unfinished_is_left_behind(tmp_path: Path) -> None:
    save(tmp_path / "s", IDS, LOGITS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s", "s.lock"]


def test_logits_saved_twice_are_kept_once(tmp_path: Path) -> None:
    ids, logits = ["a", "b"], np.array([[1.0, 2.0], [3.0, 4.0]], dtype=np.float32)
    save(tmp_path / "kept", ids, logits)
    found = save(tmp_path / "kept", ids, logits)
    np.testing.assert_array_equal(found.of(["b"]), [[3.0, 4.0]])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "kept.lock"]
