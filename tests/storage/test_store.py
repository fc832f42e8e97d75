"""The store: a stage is trained once, stored completely or not at all, and never lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.tiny import SHRUNK, run

from distill_runner.config.schema import Noise, NoiseKind, Training
from distill_runner.storage import integrity
from distill_runner.storage.integrity import Damaged
from distill_runner.storage.store import Store, key_of, plain, write_json


def finish(store: Store, key: str, accuracy: float) -> None:
    with store.claim(key, waiting=lambda: None) as unfinished:
        unfinished.mkdir(exist_ok=True)
        (unfinished / "checkpoint.pt").write_text("half way")
        store.finish(key, unfinished, {"accuracy": accuracy})


def test_a_key_changes_with_every_setting() -> None:
    assert key_of(Training()) == key_of(Training())
    assert key_of(Training(learning_rate=1e-5)) != key_of(Training(learning_rate=2e-5))
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})


def test_settings_become_plain_json() -> None:
    noise = plain(Noise(kind=NoiseKind.mask, p=0.1))
    assert noise["kind"] == "mask"
    assert json.loads(json.dumps(noise)) == noise


def test_a_finished_stage_is_found_and_its_checkpoint_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert not store.has("k")
    finish(store, "k", 0.9)
    assert store.has("k")
    assert store.artifact("k").facts() == {"accuracy": 0.9}
    assert not (store.artifact("k").folder / "checkpoint.pt").exists()


def test_a_stage_trained_again_replaces_the_old_one_and_its_logits(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, "k", 0.8)
    store.logits("k", "split").mkdir(parents=True)
    finish(store, "k", 0.9)
    assert store.artifact("k").facts() == {"accuracy": 0.9}
    assert not store.logits("k", "split").exists()


def test_the_second_claim_waits_for_the_first(tmp_path: Path) -> None:
    store, order, waited = Store(tmp_path), [], threading.Event()

    def second() -> None:
        with Store(tmp_path).claim("k", waiting=waited.set):
            order.append("second")

    with store.claim("k", waiting=lambda: None):
        other = threading.Thread(target=second)
        other.start()
        assert waited.wait(10)
        order.append("first")
    other.join(10)
    assert order == ["first", "second"]


def test_a_damaged_stage_is_not_believed_and_set_aside_by_whoever_claims_it(tmp_path: Path) -> None:
    said: list[str] = []
    store = Store(tmp_path, say=said.append)
    finish(store, "k", 0.9)
    facts = store.artifact("k").folder / "stage.json"
    facts.write_text(facts.read_text().replace("0.9", "0.8"))
    assert not store.has("k")
    with pytest.raises(Damaged, match=r"stage\.json has other content"):
        store.artifact("k").facts()
    with store.claim("k", waiting=lambda: None):
        store.set_damage_aside("k")
    assert not store.artifact("k").folder.exists()
    assert "0.8" in (tmp_path / "damaged" / "stages" / "k" / "stage.json").read_text()
    assert [line for line in said if "stage.json has other content" in line] == said != []


def test_a_copied_store_is_read_and_not_called_damaged(tmp_path: Path) -> None:
    finish(Store(tmp_path / "a"), "k", 0.9)
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    assert Store(tmp_path / "b").has("k", hashed=True)


def test_a_large_file_that_nobody_touched_is_read_only_where_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "_SMALL", 0)
    store = Store(tmp_path)
    finish(store, "k", 0.9)
    facts = store.artifact("k").folder / "stage.json"
    known = facts.stat()
    facts.write_text(facts.read_text().replace("0.9", "0.8"))
    os.utime(facts, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert store.has("k")
    assert not store.has("k", hashed=True)
    os.utime(facts)
    assert not store.has("k")


def test_the_artifact_of_another_stage_is_not_believed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    finish(store, "one", 0.9)
    finish(store, "two", 0.8)
    shutil.rmtree(store.artifact("two").folder)
    shutil.copytree(store.artifact("one").folder, store.artifact("two").folder)
    assert store.has("one")
    assert not store.has("two")


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_files_have_the_umasks_mode(umask: int, tmp_path: Path) -> None:
    store, before = Store(tmp_path), os.umask(umask)
    try:
        with store.claim("k", waiting=lambda: None) as unfinished:
            unfinished.mkdir()
            (unfinished / "model.safetensors").touch(0o600)
            store.finish("k", unfinished, {})
    finally:
        os.umask(before)
    for path in store.artifact("k").folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_checkpoint_that_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    partial = tmp_path / "stages" / "k.unfinished" / "checkpoint.partial"
    partial.parent.mkdir(parents=True)
    partial.touch()
    with store.claim("k", waiting=lambda: None):
        assert not partial.exists()
    partial.touch()
    integrity.sweep(tmp_path)
    assert not partial.exists()


def test_a_json_file_is_written_whole(tmp_path: Path) -> None:
    write_json(tmp_path / "result.json", {"a": 1})
    write_json(tmp_path / "result.json", {"a": 2})
    assert json.loads((tmp_path / "result.json").read_text()) == {"a": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_two_runs_that_start_together_train_their_teacher_once(tmp_path: Path) -> None:
    asked = ("method=kd", "teacher=bert", "method.baseline=never")

    def start(seed: int) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "distill_runner.cli"),
                *(*SHRUNK, *asked, f"seed={seed}"),
                *(f"output_dir={tmp_path}/{seed}", f"store.dir={tmp_path}/store"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    for process in [start(1), start(2)]:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    results = [json.loads((tmp_path / str(n) / "result.json").read_text()) for n in (1, 2)]
    trained = [found["stages"]["teacher/bert-base-uncased"]["trained_now"] for found in results]
    assert sorted(trained) == [False, True]
    assert results[0]["teachers"] == results[1]["teachers"]


ASKED_AGAIN = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from support import tiny
folder, store = map(Path, sys.argv[1:])
tiny.run(folder, store, "kd", "tracker=none")
print("imported:", "transformers" in sys.modules)
"""


def test_a_finished_run_asked_again_imports_no_transformers(tmp_path: Path) -> None:
    run(tmp_path / "first", tmp_path / "store", "kd", "tracker=none")
    program = ASKED_AGAIN.format(tests=str(Path(__file__).parents[1]))
    places = [str(tmp_path / "again"), str(tmp_path / "store")]
    done = subprocess.run(
        [sys.executable, "-c", program, *places], capture_output=True, text=True, check=True
    )
    assert "All stages were found in the store." in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: False"
