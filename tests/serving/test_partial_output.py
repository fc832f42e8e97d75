"""An interrupted output goes on where it was; what is not ours or damaged is never touched."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.file_predictions import predicted
from support.finished_runs import Start

from distill_runner import Refused
from distill_runner.serving import table_reader


class Killed(BaseException):
    """As if the process had been killed."""


def stop_after(rows: int) -> Callable[..., None]:
    def show(done: int, *_: object) -> None:
        if done >= rows:
            raise Killed

    return show


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of eight rows, each certain as soon as it is written."""
    monkeypatch.setattr(table_reader, "CHUNK", 8)
    monkeypatch.setattr("distill_runner.serving.partial_output._SECONDS", 0.0)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet"])
def test_an_interrupted_output_goes_on_and_is_the_same(
    name: str, start: Start, tmp_path: Path
) -> None:
    run, target = start("one"), tmp_path / name
    file = run.parent / "test.csv"
    predicted(run, file, tmp_path / f"whole-{name}")
    with pytest.raises(Killed):
        predicted(run, file, target, show=stop_after(24))
    assert not target.exists()
    if name != "out.parquet":
        with (tmp_path / f"{name}.partial").open("ab") as partial:
            partial.write(b"half a row that was not certain")
    found = predicted(run, file, target)
    assert found.continued == (0 if name == "out.parquet" else 24)
    assert target.read_bytes() == (tmp_path / f"whole-{name}").read_bytes()
    assert found.tally.counts.texts == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"whole-{name}"]


def _change_input(folder: Path) -> None:
    (folder / "in.csv").write_text((folder / "in.csv").read_text().replace("good", "gone"))


def _change_output(folder: Path) -> None:
    partial = folder / "out.csv.partial"
    partial.write_bytes(partial.read_bytes().replace(b"good", b"gone"))


def _shorten_output(folder: Path) -> None:
    partial = folder / "out.csv.partial"
    partial.write_bytes(partial.read_bytes()[:20])


def _damage_sidecar(folder: Path) -> None:
    (folder / "out.csv.partial.json").write_text("{}")


def _remove_sidecar(folder: Path) -> None:
    (folder / "out.csv.partial.json").unlink()


def _remove_output(folder: Path) -> None:
    (folder / "out.csv.partial").unlink()


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_change_input, "The input has changed since"),
        (_change_output, "not as the interrupted command left it"),
        (_shorten_output, "not as the interrupted command left it"),
        (_damage_sidecar, "is damaged"),
        (_remove_sidecar, r"There is no out\.csv\.partial\.json"),
        (_remove_output, r"There is no out\.csv\.partial"),
    ],
)
def test_what_cannot_be_continued_is_refused_and_kept(
    change: Callable[[Path], None], reason: str, start: Start, tmp_path: Path
) -> None:
    shutil.copy(start("one").parent / "test.csv", tmp_path / "in.csv")
    with pytest.raises(Killed):
        predicted(start("one"), tmp_path / "in.csv", tmp_path / "out.csv", show=stop_after(16))
    change(tmp_path)
    left = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(Refused, match=reason):
        predicted(start("one"), tmp_path / "in.csv", tmp_path / "out.csv")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == left


@pytest.mark.usefixtures("small_chunks")
def test_another_run_or_other_options_do_not_continue_an_output(
    start: Start, tmp_path: Path
) -> None:
    file, target = start("one").parent / "test.csv", tmp_path / "out.csv"
    with pytest.raises(Killed):
        predicted(start("one"), file, target, show=stop_after(16))
    with pytest.raises(Refused, match="Another run's student"):
        predicted(start("several together"), file, target)
    with pytest.raises(Refused, match="begun with --raw=false, and this is true"):
        predicted(start("one"), file, target, raw=True)
    with pytest.raises(Refused, match="begun with --text=text, and this is first"):
        predicted(start("one"), file, target, texts=("first",))


def test_an_output_that_exists_is_never_written(start: Start, tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(Refused, match="exists already"):
        predicted(start("one"), start("one").parent / "test.csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"
