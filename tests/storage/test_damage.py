"""Damage in a store is named, moved away and rebuilt, and the result is the same."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from support.tiny import Bench, run

from distill_runner.errors import DistillError, Refused
from distill_runner.pipeline.stage_workers import _Silent
from distill_runner.storage.integrity import Damaged, fault, provide
from distill_runner.training import checkpoint, loop
from distill_runner.training.checkpoint import State

ASKED = ("teacher=bert", "training.select=best_validation", "runtime.threads=1")
CPU = torch.device("cpu")


class Killed(BaseException):
    pass


@dataclass(frozen=True)
class Stores:
    """A finished run, its store, and one in which the student's stage was broken off."""

    folder: Path
    finished: Path
    unfinished: Path


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Stores:
    root = tmp_path_factory.mktemp("whole")
    made = Stores(root / "run", root / "finished", root / "unfinished")
    run(made.folder, made.finished, "kd", *ASKED)
    key = json.loads((made.folder / "result.json").read_text())["stages"]["kd"]["key"]
    copied(made.finished, made.unfinished)
    shutil.rmtree(made.unfinished / "stages" / key)
    step = loop.Loop.step

    def killed(self: loop.Loop, *args: Any) -> None:
        if self.progress.step == 12:
            raise Killed
        step(self, *args)

    often = "runtime.checkpoint_seconds=0.000001"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Loop, "step", killed)
        with pytest.raises(Killed):
            run(root / "killed", made.unfinished, "kd", *ASKED, often)
    return made


def copied(store: Path, target: Path) -> Path:
    return Path(shutil.copytree(store, target, copy_function=shutil.copy2))


def flip(path: Path) -> None:
    """One bit, in place: time and size stay."""
    known, content = path.stat(), bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replaced_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], None]] = {
    "deleted": Path.unlink,
    "emptied": lambda path: path.write_bytes(b"") and None,
    "cut": cut,
    "flipped": flip,
    "appended": lambda path: path.write_bytes(path.read_bytes() + b"\0") and None,
    "a folder": replaced_by_a_folder,
}


def results(folder: Path) -> dict[str, bytes | str]:
    """What must not depend on what was in the store."""
    files = [*(folder / "student").glob("*.*"), *(folder / "predictions").rglob("*.csv")]
    result = json.loads((folder / "result.json").read_text())
    return {
        **{path.name: path.read_bytes() for path in files},
        "metrics": json.dumps([result["metrics"], result["agreement"], result["teachers"]]),
    }


def runs_as_before(stores: Stores, store: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Run on a damaged store; what the screen says."""
    again = store.parent / "again"
    capsys.readouterr()
    run(again, store, "kd", *ASKED)
    found, whole = results(again), results(stores.folder)
    assert [name for name in whole if found.get(name) != whole[name]] == []
    return capsys.readouterr().out


def line_of(output: str) -> str:
    (line,) = {line for line in output.splitlines() if line.startswith("! ")}
    return line


FINISHED = [
    ("stages/*/model/model.safetensors", "flipped"),
    ("stages/*/model/tokenizer.json", "emptied"),
    ("stages/*/model/config.json", "deleted"),
    ("stages/*/stage.json", "flipped"),
    ("stages/*/metrics.jsonl", "cut"),
    ("logits/*/logits.npy", "flipped"),
    ("logits/*/logits.npy", "cut"),
    ("logits/*/ids.npy", "a folder"),
    ("data/*/train/*.arrow", "flipped"),
    ("data/*/train/*.arrow", "cut"),
    ("data/*/prepared.json", "cut"),
    ("built/*/vocab.txt", "flipped"),
]


@pytest.mark.parametrize(("file", "damage"), FINISHED)
def test_a_damaged_file_of_a_finished_run_changes_nothing(
    file: str, damage: str, stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copied(stores.finished, tmp_path / "store")
    kind = file.partition("/")[0]
    for path in store.glob(file):
        DAMAGE[damage](path)
    output = runs_as_before(stores, store, capsys)
    said = [line for line in output.splitlines() if line.startswith("! ")]
    assert said
    assert all(f"{store}/damaged/{kind}/" in line for line in said)
    assert len(list((store / "damaged" / kind).iterdir())) == len(said)


def test_damaged_tokens_are_not_trained_on(
    stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copied(stores.unfinished, tmp_path / "store")
    for path in store.glob("encodings/*/tokens.arrow"):
        flip(path)
    assert f"! {store}/encodings/" in runs_as_before(stores, store, capsys)


def test_a_worker_leaves_damage_to_the_run_that_reports_it(
    stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("support.tiny.Screen", lambda: _Silent(silent=True))
    store = copied(stores.unfinished, tmp_path / "store")
    (path,) = store.glob("stages/*.unfinished/checkpoint.pt")
    flip(path)
    with pytest.raises(DistillError, match=f"{path.parent} is damaged"):
        Bench.make(store, "kd", ASKED).runner.run()
    assert path.exists()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        *(("checkpoint.pt", damage) for damage in DAMAGE),
        *(("best.pt", damage) for damage in ("deleted", "flipped")),
        *(("metrics.jsonl", damage) for damage in ("deleted", "cut", "flipped", "appended")),
    ],
)
def test_a_damaged_file_of_an_unfinished_stage_changes_nothing(
    file: str, damage: str, stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copied(stores.unfinished, tmp_path / "store")
    (path,) = store.glob(f"stages/*.unfinished/{file}")
    DAMAGE[damage](path)
    output = runs_as_before(stores, store, capsys)
    if (file, damage) == ("checkpoint.pt", "deleted"):
        assert "! " not in output  # as if there had been none yet
    elif (file, damage) == ("metrics.jsonl", "appended"):
        assert "resumes after step 12" in output  # what comes after the checkpoint is made again
    else:
        assert f"{path.parent} is damaged: {file}" in line_of(output)
        assert "goes on" not in output
        assert (store / "damaged" / "stages" / path.parent.name).is_dir()


def test_an_undamaged_unfinished_stage_resumes(
    stores: Stores, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = copied(stores.unfinished, tmp_path / "store")
    assert "kd: resumes after step 12" in runs_as_before(stores, store, capsys)


def changed_step(state: State, step: int) -> None:
    state["progress"]["step"] = step


def no_number(state: State) -> None:
    next(iter(state["weights"]["student"][0].values())).view(-1)[0] = float("nan")


@pytest.mark.parametrize(
    "change",
    [lambda s: changed_step(s, 10**9), lambda s: changed_step(s, -5), no_number],
    ids=["a step to come", "a step before the first", "a weight that is no number"],
)
def test_a_checkpoint_that_was_changed_is_not_believed(
    change: Callable[[State], None],
    stores: Stores,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = copied(stores.unfinished, tmp_path / "store")
    (path,) = store.glob("stages/*.unfinished/checkpoint.pt")
    state = checkpoint.load(path, CPU)
    assert state is not None
    change(state)
    torch.save(state, path)
    assert "checkpoint.pt: it has other content" in line_of(runs_as_before(stores, store, capsys))


def test_a_checkpoint_of_another_stage_is_not_believed(tmp_path: Path) -> None:
    for stage in ("a.unfinished", "b.unfinished"):
        (tmp_path / stage).mkdir()
    checkpoint.save(tmp_path / "a.unfinished" / "checkpoint.pt", {"step": 1})
    shutil.copy(tmp_path / "a.unfinished" / "checkpoint.pt", tmp_path / "b.unfinished")
    assert checkpoint.load(tmp_path / "a.unfinished" / "checkpoint.pt", CPU) == {"step": 1}
    with pytest.raises(Damaged):
        checkpoint.load(tmp_path / "b.unfinished" / "checkpoint.pt", CPU)


def test_a_file_that_may_not_be_read_is_named_and_not_called_damaged() -> None:
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root, "logits", "k")
        provide(folder, lambda made: (made / "ids.npy").touch(), say=print)
        (folder / "ids.npy").chmod(0)
        Path(root).chmod(0o755)
        user = os.geteuid()
        os.seteuid(user or 65534)  # root may read everything
        try:
            with pytest.raises(Refused, match=rf"cannot be read: {folder}/ids\.npy"):
                fault(folder)
        finally:
            os.seteuid(user)


def test_a_finished_run_is_answered_from_a_store_that_is_only_read(
    stores: Stores,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = copied(stores.finished, tmp_path / "store")
    for lock in store.rglob("*.lock"):
        lock.unlink()
    before = sorted(store.rglob("*"))
    monkeypatch.setattr(
        "distill_runner.storage.locks.FileLock", lambda path: pytest.fail(f"locks {path}")
    )
    runs_as_before(stores, store, capsys)
    assert sorted(store.rglob("*")) == before


def test_a_student_has_the_umasks_mode_and_not_the_stores(stores: Stores, tmp_path: Path) -> None:
    store = copied(stores.finished, tmp_path / "store")
    for path in store.glob("stages/*/model/*"):
        path.chmod(0o400)
    before = os.umask(0o027)
    try:
        run(tmp_path / "again", store, "kd", *ASKED)
    finally:
        os.umask(before)
    modes = {
        path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "again/student").iterdir()
    }
    assert "model.safetensors" in modes
    assert set(modes.values()) == {0o640}
