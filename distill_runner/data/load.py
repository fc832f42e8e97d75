"""Reads, splits and stores a data set; the same settings and files are split only once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill_runner.config import schema
from distill_runner.data import splits
from distill_runner.data.clusters import cluster_rows
from distill_runner.data.readers import labelled_rows
from distill_runner.data.readers.columns import text_columns
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.labelled_rows import Rows, Source
from distill_runner.data.readers.tables import quiet
from distill_runner.errors import Refused
from distill_runner.storage.integrity import Say, provide
from distill_runner.tasks.base import Task
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    import datasets

FORMAT = 7  # version of the stored data; raise it when reading or splitting changes
_SUMMARY = "prepared.json"
_SYNTHETIC_NAMES = ("negative", "positive")
_BLOCK_BYTES = 1 << 20
_LEARNT = ("train", "quiz", "rest")  # splits that no interval is computed on


@dataclass(frozen=True)
class Prepared:
    """Labelled texts, ready to be encoded.

    Attributes:
        splits: "train", "quiz", "validation", "test", "rest" (labelled rows left over) and
            the extra splits; a split without rows is absent. Columns: id, text, text_pair
            (pairs only), label (as its task stores it), group (if the rows have groups), cluster
            (held-out splits: the number of the rows' cluster, see `clusters`).
        label_names: the names of the outputs, class 0, 1, …; for scores only `scores.OUTPUT`.
        fingerprints: for each split of `splits`, the sha256 over ids, texts, labels and any
            groups, in order.
        counts: the rows of each split, including empty ones, and the rows dropped:
            "dropped_both_labels", "dropped_duplicates", "dropped_touching" (scheme grouped),
            "dropped_from_validation" (also in a test file), "dropped_same_group" (their group
            is in a held-out file), "dropped_without_label" and "dropped_without_text" (see
            `dataset.missing` and `dataset.no_label`), "dropped_hidden_labels" (files whose
            labels are not published).
        left_out: for each file, the number of rows dropped, by what they lack.
    """

    splits: dict[str, datasets.Dataset]
    label_names: tuple[str, ...]
    fingerprints: dict[str, str]
    counts: dict[str, int]
    left_out: dict[str, dict[str, int]]


def prepare(
    settings: schema.Dataset, *, source: Path | None, store_dir: Path, say: Say = print
) -> Prepared:
    """Read and split the data, or open what an earlier call stored.

    Args:
        settings: the data set's settings.
        source: the file or folder that holds the data; None for the synthetic corpus.
        store_dir: the store; this writes to its "data" folder.
        say: receives messages about damage.

    Raises:
        Refused: the settings do not fit the files, or ask for more rows than there are.
    """
    text_columns(settings)
    corpus, files = None, {}
    if settings.generate > 0:
        corpus, content = _synthetic(settings.generate, settings.split_seed)
    else:
        files = locate(settings, _required(source))
        content = files_hash(files)
    names = sorted(path.name for paths in files.values() for path in paths)
    target = _folder(store_dir / "data") / _key(settings, content, names)
    provide(target, lambda folder: _build(settings, files, corpus, folder), say=say)
    known = (target / _SUMMARY).stat()
    found = _open(target, (known.st_ino, known.st_mtime_ns))
    task_of(settings).check_rows(settings, found.splits, found.label_names)
    return found


def _required(source: Path | None) -> Path:
    if source is None:
        raise Refused(
            "No data are named.",
            key="dataset.path",
            value=None,
            rule="a file or a folder, unless dataset.hub or dataset.generate is set",
            way_out="dataset.path=reviews.csv, or dataset=synthetic",
        )
    return source


@cache
def _synthetic(count: int, seed: int) -> tuple[Source, str]:
    """Return the corpus and the hash of its rows; generated once for all jobs of a sweep."""
    from distill_runner.data.synthetic import generate

    rows = generate(count, seed)
    train = Rows(
        ids=[f"synthetic-{n}" for n in range(len(rows))],
        texts=[text for text, _ in rows],
        pairs=None,
        labels=[label for _, label in rows],
    )
    corpus = Source(files={"train": train}, label_names=_SYNTHETIC_NAMES, hidden=0, left_out={})
    return corpus, _rows_hash(train)


def files_hash(files: Mapping[str, Iterable[Path]]) -> str:
    """Return the sha256 over the files' splits and contents."""
    digest = hashlib.sha256()
    for split, paths in sorted(files.items()):
        for path in paths:
            digest.update(f"{split}{path.suffix.lower()} {path.stat().st_size}\n".encode())
            with path.open("rb") as content:
                while block := content.read(_BLOCK_BYTES):
                    digest.update(block)
    return digest.hexdigest()


def _rows_hash(rows: Rows) -> str:
    digest = hashlib.sha256()
    pairs: Iterable[str | None] = rows.pairs or [None] * len(rows)
    columns: list[Iterable[object]] = [rows.ids, rows.texts, pairs, rows.labels]
    if rows.groups is not None:
        columns.append(rows.groups)
    for row in zip(*columns, strict=True):
        digest.update(json.dumps(row).encode() + b"\n")
    return digest.hexdigest()


def _key(settings: schema.Dataset, content: str, names: Sequence[str]) -> str:
    split = settings.split
    deciding = {
        "format": FORMAT,
        "content": content,
        "text": text_columns(settings),
        "label": settings.label,
        "label_names": list(settings.label_names) if settings.label_names is not None else None,
        "scheme": schema.SplitScheme(split.scheme).value,
        "no_label": settings.no_label,
        "missing": settings.missing.value,
        "group": settings.group,
        "extra": list(settings.extra),
        "sizes": [split.train, split.quiz, split.validation, split.test],
        "split_seed": settings.split_seed,
    }
    if settings.task is not schema.TaskKind.classification:
        deciding["task"] = settings.task.value
    if settings.missing is schema.Missing.drop or settings.no_label is not None:
        deciding["names"] = list(names)  # rows left out are reported by file
    return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _build(
    settings: schema.Dataset,
    files: dict[str, tuple[Path, ...]],
    corpus: Source | None,
    folder: Path,
) -> None:
    task, cache = task_of(settings), folder.parent / "cache"
    found = corpus or labelled_rows.read(task.label_reader(settings), files, cache=cache)
    cut = splits.cut(
        found.files, settings.split, seed=settings.split_seed, by_class=task.stratified
    )
    filled = {name: rows for name, rows in cut.splits.items() if len(rows)}
    counts = {name: len(rows) for name, rows in cut.splits.items()}
    for name, rows in filled.items():
        held_out = name not in _LEARNT
        _save(rows, folder / name, task, clusters=cluster_rows(rows) if held_out else None)
    summary = {
        "label_names": found.label_names,
        "fingerprints": {name: _rows_hash(rows) for name, rows in filled.items()},
        "counts": counts | cut.dropped | _left_aside(found),
        "left_out": found.left_out,
    }
    (folder / _SUMMARY).write_text(json.dumps(summary, indent=1), encoding="utf-8")


def _left_aside(found: Source) -> dict[str, int]:
    lacking = sum((Counter(counts) for counts in found.left_out.values()), Counter())
    without = {f"dropped_{reason.replace(' ', '_')}": count for reason, count in lacking.items()}
    return {"dropped_hidden_labels": found.hidden} | without


def _save(rows: Rows, folder: Path, task: Task, *, clusters: Sequence[int] | None) -> None:
    import datasets

    columns: dict[str, Sequence[Any]] = {"id": rows.ids, "text": rows.texts}
    types: dict[str, Any] = {"id": datasets.Value("string"), "text": datasets.Value("string")}
    if rows.pairs is not None:
        columns["text_pair"], types["text_pair"] = rows.pairs, datasets.Value("string")
    columns["label"], types["label"] = rows.labels, task.label_feature()
    if rows.groups is not None:
        columns["group"], types["group"] = rows.groups, datasets.Value("string")
    if clusters is not None:
        columns["cluster"], types["cluster"] = clusters, datasets.Value("int32")
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(types))
    with quiet():
        table.save_to_disk(str(folder))


@cache
def _open(folder: Path, version: tuple[int, int]) -> Prepared:  # noqa: ARG001
    """Open a stored data set; once for all jobs of a sweep, unless it is rebuilt.

    Args:
        folder: the data set's folder in the store.
        version: inode and modification time of its summary, which is written last.
    """
    import datasets

    summary = json.loads((folder / _SUMMARY).read_text(encoding="utf-8"))
    return Prepared(
        splits={
            name: datasets.load_from_disk(str(folder / name)) for name in summary["fingerprints"]
        },
        label_names=tuple(summary["label_names"]),
        fingerprints=summary["fingerprints"],
        counts=summary["counts"],
        left_out=summary["left_out"],
    )
