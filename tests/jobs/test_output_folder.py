"""Files of others are never touched, and a finished run stays until its replacement is complete."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from filelock import FileLock
from support.tiny import command, run

from distill_runner.errors import DistillError, Refused
from distill_runner.jobs import output_folder


@pytest.fixture
def finished(store: Path, tmp_path: Path) -> Path:
    """The folder of a finished run."""
    run(tmp_path / "out", store, "finetune", "training.max_steps=2")
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a run's result; its log and what became of the last attempt aside."""
    aside = ("log.txt", "attempt.json", ".lock")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in aside
    }


@pytest.mark.parametrize(
    "name", ["student/thesis.tex", "result.json", "notes", "student/README.md", "log.txt"]
)
def test_a_folder_with_anything_of_a_users_is_refused_and_left_alone(
    name: str, store: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    before = contents(tmp_path / "out")
    with pytest.raises(Refused) as caught:
        run(tmp_path / "out", store, "finetune")
    assert caught.value.key == "output_dir"
    assert name.split("/")[0] in str(caught.value)
    assert contents(tmp_path / "out") == before
    assert os.listdir(tmp_path / "out") == [name.split("/")[0]]


def test_the_working_directory_of_a_project_is_refused(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / "thesis.tex").write_text("mine")
    monkeypatch.chdir(tmp_path)
    common = ("method=finetune", f"store.dir={store}", "output_dir=.")
    assert command(monkeypatch, *common) == 2
    assert command(monkeypatch, *common, "-m", "seed=1,2") == 2
    assert sorted(os.listdir(tmp_path)) == ["student"]


@pytest.mark.parametrize("name", ["student/thesis.tex", "new/notes.txt", "student/README.md"])
def test_what_a_user_added_to_a_finished_run_or_changed_there_is_kept(
    name: str, finished: Path, store: Path
) -> None:
    (finished / name).parent.mkdir(exist_ok=True)
    (finished / name).write_text("mine")
    before = contents(finished)
    with pytest.raises(Refused, match=name):
        run(finished, store, "finetune", "training.max_steps=3")
    assert contents(finished) == before


def test_what_a_user_puts_there_during_the_run_is_kept(
    finished: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = output_folder.OutputFolder.publish

    def late(folder: output_folder.OutputFolder) -> None:
        (finished / "student" / "thesis.tex").write_text("mine")
        publish(folder)

    monkeypatch.setattr(output_folder.OutputFolder, "publish", late)
    before = contents(finished)
    with pytest.raises(DistillError, match="thesis"):
        run(finished, store, "finetune", "training.max_steps=3")
    assert contents(finished) == before | {"student/thesis.tex": b"mine"}


@pytest.mark.parametrize(
    ("asked", "status"),
    [("dry_run=true", 0), ("training.epochs=-3", 2), ("method=kdd", 2), ("training.lr=1", 2)],
)
def test_a_plan_or_a_refusal_leaves_a_finished_run_as_it_was(
    asked: str, status: int, finished: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished)
    common = ("method=finetune", f"store.dir={store}", f"output_dir={finished}")
    assert command(monkeypatch, *common, asked) == status
    assert contents(finished) == before
    assert json.loads(before["result.json"])["status"] == "finished"


def everything(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


NOTHING_TRAINED = [
    ("dry_run=true", 0),
    ("training.epochs=-3", 2),
    ("dataset.split.train=9000", 2),
    ("method=kdd", 2),
]


@pytest.mark.parametrize(("asked", "status"), NOTHING_TRAINED)
def test_a_dry_run_and_a_refused_command_leave_no_folder(
    asked: str, status: int, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, "method=finetune", f"store.dir={store}", asked) == status
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("asked", "status"), NOTHING_TRAINED)
def test_a_dry_run_and_a_refused_command_touch_no_file_of_a_finished_run(
    asked: str, status: int, finished: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(finished)
    common = ("method=finetune", f"store.dir={store}", f"output_dir={finished}")
    assert command(monkeypatch, *common, asked) == status
    assert everything(finished) == before


def test_an_empty_folder_of_a_users_is_left_to_them(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").mkdir()
    common = ("method=finetune", f"store.dir={store}", f"output_dir={tmp_path}/mine")
    assert command(monkeypatch, *common, "dry_run=true") == 0
    assert os.listdir(tmp_path / "mine") == []


def test_a_dry_run_of_a_sweep_leaves_an_earlier_sweep_there_as_it_was(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ("method=finetune", f"store.dir={store}", "-m", "method.baseline=never")
    assert command(monkeypatch, *common, "seed=1,2", "dry_run=true") == 0
    assert os.listdir(tmp_path) == []
    assert command(monkeypatch, *common, "seed=1", "training.max_steps=2", "output_dir=out") == 0
    before = everything(tmp_path / "out")
    assert command(monkeypatch, *common, "seed=1,2", "output_dir=out", "dry_run=true") == 0
    assert everything(tmp_path / "out") == before


def test_a_refused_job_of_a_sweep_leaves_its_cause(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("method=finetune", f"store.dir={store}", f"output_dir={tmp_path}/out", "-m")
    assert command(monkeypatch, *common, "training.epochs=-3,-4") == 2
    said = json.loads((tmp_path / "out" / "1" / "attempt.json").read_text())
    assert (said["status"], "training.epochs = -4" in said["error"]) == ("refused", True)


def test_an_interrupted_run_keeps_its_folder_and_says_so(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("distill_runner.pipeline.runner.Runner.run", interrupted)
    common = ("method=finetune", f"store.dir={store}", f"output_dir={tmp_path}/out")
    assert command(monkeypatch, *common) == 130
    said = json.loads((tmp_path / "out" / "attempt.json").read_text())
    assert said["status"] == "interrupted"
    assert "loss: L" in (tmp_path / "out" / "log.txt").read_text()


SMALL = tuple(f"dataset.split.{split}=20" for split in ("train", "validation", "test"))


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        (("seed=7",), "_finetune_synthetic_distilbert_seed7"),
        (("student.model=distilbert-base-uncased",), "_synthetic_distilbert-base-uncased"),
        (
            ("dataset=files", "dataset.path='my texts.csv'", "dataset.generate=0", *SMALL),
            "_finetune_my-texts_distilbert",
        ),
    ],
)
def test_a_run_folder_says_what_it_is(
    asked: tuple[str, ...],
    named: str,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"a {word} film {n},{word}\n" for n in range(60) for word in ("good", "bad"))
    (tmp_path / "my texts.csv").write_text(f"text,label\n{rows}")
    monkeypatch.setattr("distill_runner.pipeline.runner.Runner.run", lambda *_, **__: 1 / 0)
    assert command(monkeypatch, "method=finetune", f"store.dir={store}", *asked) == 1
    (folder,) = (tmp_path / "outputs" / "runs").iterdir()
    assert named in folder.name


def test_a_failure_leaves_a_finished_run_as_it_was(
    finished: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(finished)
    monkeypatch.setattr("distill_runner.results.collect.run.collect_result", lambda *_, **__: 1 / 0)
    with pytest.raises(DistillError, match="ZeroDivisionError"):
        run(finished, store, "finetune", "training.max_steps=3")
    assert contents(finished) == before
    assert json.loads((finished / "attempt.json").read_text())["status"] == "failed"


def test_another_run_takes_the_place_of_a_finished_one(finished: Path, store: Path) -> None:
    before = contents(finished)
    run(finished, store, "finetune", "training.max_steps=3", "dataset.split.quiz=0")
    after = contents(finished)
    assert json.loads(after["result.json"])["training"]["steps"] == 3
    assert "predictions/quiz.csv" in before
    assert "predictions/quiz.csv" not in after
    assert not [name for name in after if "unfinished" in name or "complete" in name]


@pytest.mark.parametrize("moves", range(6))
def test_a_kill_while_a_run_is_put_in_place_is_made_good_by_the_next_one(
    moves: int, finished: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, made = os.replace, []

    def dying(source: Path, target: Path) -> None:
        if ".complete" in str(source):
            made.append(target)
            if len(made) > moves:
                raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr("distill_runner.jobs.output_folder.os.replace", dying)
    with pytest.raises(KeyboardInterrupt):
        run(finished, store, "finetune", "training.max_steps=3")
    monkeypatch.setattr("distill_runner.jobs.output_folder.os.replace", replace)
    with output_folder.OutputFolder.claim(finished):
        pass
    assert json.loads((finished / "result.json").read_text())["training"]["steps"] == 3
    assert (finished / "student" / "model.safetensors").is_file()
    assert output_folder._foreign(finished) is None


@pytest.mark.parametrize("content", ["", "[]", '{"program": "distill-run"}', "{"])
def test_a_run_whose_list_of_files_is_damaged_is_left_alone(
    content: str, finished: Path, store: Path
) -> None:
    (finished / "files.json").write_text(content)
    before = contents(finished)
    with pytest.raises(Refused) as caught:
        run(finished, store, "finetune", "training.max_steps=3")
    assert caught.value.key == "output_dir"
    assert contents(finished) == before


def test_two_runs_do_not_write_into_one_folder(finished: Path, store: Path) -> None:
    before = contents(finished)
    with FileLock(finished / ".lock"), pytest.raises(Refused, match="Another run"):
        run(finished, store, "finetune", "training.max_steps=3")
    assert contents(finished) == before


def test_a_store_inside_the_output_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        run(tmp_path / "out", tmp_path / "out" / "store", "finetune")
    assert caught.value.key == "store.dir"


def test_a_sweep_keeps_out_of_a_users_folder_and_into_its_own_goes_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep = tmp_path / "sweep"
    common = ("method=finetune", f"store.dir={store}", f"output_dir={sweep}", "-m")
    quick = (*common, "training.max_steps=2", "method.baseline=never")
    sweep.mkdir()
    (sweep / "sweep.txt").write_text("mine")
    assert command(monkeypatch, *quick, "seed=1,2") == 2
    assert (sweep / "sweep.txt").read_text() == "mine"
    assert os.listdir(sweep) == ["sweep.txt"]
    (sweep / "sweep.txt").unlink()
    assert command(monkeypatch, *quick, "seed=1,2") == 0
    assert command(monkeypatch, *quick, "seed=1,2") == 0
    (sweep / "1" / "notes").write_text("mine")
    assert command(monkeypatch, *quick, "seed=1,2") == 2
    assert (sweep / "1" / "notes").read_text() == "mine"
