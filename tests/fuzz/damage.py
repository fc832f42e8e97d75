"""Damage to a store: finished stages, caches, and the checkpoint of an unfinished stage.

The same command must rebuild the damaged parts and give the undamaged run's bytes.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from fuzz.cases import FEW_ROWS, SHRUNK, Case, Place

RUNS = {
    "kd": ("method=kd", "teacher=bert"),
    "kd_of_two": ("method=kd", "teacher=bert+bert", "method.baseline=never"),
    "finetune": ("method=finetune", "training.select=best_validation"),
    "unfinished": ("method=finetune", "training.epochs=6"),
}
WEIGHTS = (
    "{{family: {0}, layers: 1, width: 16, heads: 2, feedforward: 16, vocabulary: 200, "
    "dropout: 0.1}}"
)
SMALL = (
    "training.batch_size=16",
    "training.epochs=2",
    f"models.distilbert-base-uncased={WEIGHTS.format('distilbert')}",
)
OF_TEACHERS = (
    "teacher.training.epochs=1",
    "teacher.near_chance=allow",
    f"models.bert-base-uncased={WEIGHTS.format('bert')}",
)


def command_of(run: str, store: Path) -> list[str]:
    """The command that made, and makes again, what is damaged."""
    typed = [*RUNS[run], "output_dir=out", f"store.dir={store}"]
    small = [*SMALL, *(OF_TEACHERS if "method=kd" in typed else ())]
    kept = [item for item in small if item.partition("=")[0] not in str(typed)]
    return [*SHRUNK, *FEW_ROWS, *kept, *typed]


def draw(rng: random.Random, place: Place) -> Case:
    """A store that was whole, with one or two of its files damaged."""
    run = rng.choice(sorted(RUNS))
    store = place.folder / "store"
    shutil.copytree(place.ready / "stores" / run, store)
    files = [path for path in sorted(store.rglob("*")) if path.is_file() and path.suffix != ".lock"]
    done = []
    for _ in range(rng.choice((1, 1, 1, 2))):
        file = rng.choice(files)
        if not file.is_file():
            continue
        way = rng.choice(sorted(WAYS))
        WAYS[way](rng, file)
        done.append(f"{way} {file.relative_to(store)}")
    return Case(
        "damage", f"{run}: {'; '.join(done)}", command_of(run, store), "done",
        depth="train", twin=place.ready / "twins" / run,
    )  # fmt: skip


def _delete(rng: random.Random, file: Path) -> None:  # noqa: ARG001
    file.unlink()


def _empty(rng: random.Random, file: Path) -> None:  # noqa: ARG001
    file.write_bytes(b"")


def _cut(rng: random.Random, file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))] if content else b"")


def _flip(rng: random.Random, file: Path) -> None:
    content = bytearray(file.read_bytes() or b"\0")
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def _lengthen(rng: random.Random, file: Path) -> None:
    file.write_bytes(file.read_bytes() + rng.randbytes(rng.randint(1, 64)))


def _garbage(rng: random.Random, file: Path) -> None:
    file.write_bytes(rng.randbytes(file.stat().st_size))


def _sibling(rng: random.Random, file: Path) -> None:
    """The content of another file of the same folder."""
    others = [path for path in sorted(file.parent.iterdir()) if path.is_file() and path != file]
    if others:
        shutil.copyfile(rng.choice(others), file)


WAYS: dict[str, Callable[[random.Random, Path], None]] = {
    "deleted": _delete,
    "emptied": _empty,
    "cut": _cut,
    "one bit flipped in": _flip,
    "lengthened": _lengthen,
    "garbage in": _garbage,
    "another file's content in": _sibling,
}


def make_ready(folder: Path, launch: Callable[[list[str], Path, int | None], int]) -> None:
    """Every run of `RUNS` once: its store, and the output that it must give again.

    Args:
        launch: runs (command, working directory, step to break off at); the exit status.
    """
    for run in RUNS:
        work, store = folder / "work" / run, folder / "stores" / run
        work.mkdir(parents=True)
        assert launch(command_of(run, store), work, None) == 0, run
        (folder / "twins").mkdir(exist_ok=True)
        shutil.copytree(work / "out", folder / "twins" / run)
        if run == "unfinished":
            shutil.rmtree(store)
            shutil.rmtree(work / "out")
            assert launch(command_of(run, store), work, 10) == 130, run
        shutil.rmtree(work)
