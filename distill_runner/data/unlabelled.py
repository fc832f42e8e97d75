"""Adds texts without labels, for stages that learn only from teachers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config import schema
from distill_runner.data.load import Prepared, files_hash
from distill_runner.data.readers.class_labels import ClassLabels
from distill_runner.data.readers.columns import text_columns
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.missing import TEXT, Gaps, check_none, without_text
from distill_runner.data.readers.places import Places
from distill_runner.data.readers.tables import load
from distill_runner.errors import Refused
from distill_runner.planning.stages import UNLABELLED
from distill_runner.storage.integrity import Say, provide

if TYPE_CHECKING:
    from datasets import Dataset

HIDDEN = -1  # the label of a row without one, or with a hidden one
_FORMAT = 4  # version of the stored data

Texts = tuple[str, ...]  # the one or two texts of a row


def add_unlabelled(
    prepared: Prepared,
    settings: schema.Dataset,
    *,
    source: Path | None,
    store_dir: Path,
    say: Say = print,
) -> Prepared:
    """Add the split "unlabelled" to `prepared`, with the same columns and hidden labels.

    Repeated rows are kept once. Rows of validation, test or an extra split are left out, since
    a teacher's prediction for a test row would serve as its label.

    Args:
        prepared: the labelled data set.
        settings: its settings; `unlabelled` names the texts.
        source: the texts' file or folder; None for the synthetic corpus.
        store_dir: the store; this writes to its "data" folder.
        say: receives messages about damage.

    Raises:
        Refused: the settings do not fit the files, or no row is left.
    """
    from datasets import load_from_disk

    wanted = settings.unlabelled
    files = locate(as_dataset(settings), source) if source else {}
    name = next((paths[0].name for paths in files.values()), "")
    content = files_hash(files) if source else wanted.generate
    as_data = as_dataset(settings)
    deciding = [_FORMAT, content, text_columns(as_data), wanted.rows, as_data.missing.value]
    kept_out = [prepared.fingerprints.get(split) for split in _kept_out(settings)]
    key = hashlib.sha256(json.dumps([deciding, kept_out, settings.split_seed]).encode()).hexdigest()
    folder = store_dir / "data" / f"unlabelled-{key}"
    provide(folder, lambda made: _build(prepared, settings, source, made), say=say)
    table = load_from_disk(str(folder))
    read = json.loads((folder / "read.json").read_text(encoding="utf-8"))
    left_out = {f"{UNLABELLED} {name}": counts for counts in read["left_out"].values()}
    return replace(
        prepared,
        splits={**prepared.splits, UNLABELLED: table},
        fingerprints={**prepared.fingerprints, UNLABELLED: read["fingerprint"]},
        counts={
            **prepared.counts,
            UNLABELLED: len(table),
            "dropped_unlabelled": read["rows"] - len(table),
        },
        left_out={**prepared.left_out, **left_out},
    )


def _build(prepared: Prepared, settings: schema.Dataset, source: Path | None, folder: Path) -> None:
    scratch = folder.parent
    table, left_out = _read(settings, source, cache=scratch / "cache")
    rows = len(table) + sum(sum(counts.values()) for counts in left_out.values())
    # Over the kept rows only: two tasks that keep the same ones can share a stage on them.
    fingerprint = hashlib.sha256()
    kept = _unseen(
        table, prepared, settings, target=scratch / "kept.arrow", fingerprint=fingerprint
    )
    if not len(kept):
        raise Refused(
            "No unlabelled rows are left.",
            key="dataset.unlabelled.path",
            value=str(source),
            rule="rows that are not among those of validation, test and dataset.extra",
        )
    kept.save_to_disk(str(folder))
    read = {"rows": rows, "left_out": left_out, "fingerprint": fingerprint.hexdigest()}
    (folder / "read.json").write_text(json.dumps(read), encoding="utf-8")


def _read(
    settings: schema.Dataset, source: Path | None, *, cache: Path
) -> tuple[Dataset, dict[str, dict[str, int]]]:
    """Return the text columns of the file, and the number of rows left out, by file and reason."""
    from datasets import Dataset

    wanted, as_data = settings.unlabelled, as_dataset(settings)
    names = text_columns(as_data)
    if source is None:
        from distill_runner.data.synthetic import generate

        # A seed different from the labelled rows' gives different sentences.
        made = generate(wanted.generate, settings.split_seed + 1000)
        return Dataset.from_dict({names[0]: [text for text, _ in made]}), {}
    paths = locate(as_data, source)["train"]
    table = load(ClassLabels(as_data), paths, cache=cache).select_columns(names)
    rows = len(table) if wanted.rows is None else min(wanted.rows, len(table))
    table = table.select(range(rows))
    gaps = Gaps(Places(as_data, paths), {TEXT: without_text(table, names)})
    check_none(as_data, [gaps])
    left_out = {paths[0].name: gaps.counts} if gaps.counts else {}
    return table.select(gaps.kept(range(rows))) if left_out else table, left_out


def _unseen(
    table: Dataset,
    prepared: Prepared,
    settings: schema.Dataset,
    *,
    target: Path,
    fingerprint: hashlib._Hash,
) -> Dataset:
    """Write the rows of `table` that are kept to `target`, and hash them.

    There may be millions of rows, so only a digest of 16 bytes is remembered of each.
    """
    from datasets import Features, Value

    columns = table.column_names
    names = ("text", "text_pair")[: len(table.column_names)]
    kinds = {name: Value("string") for name in ("id", *names)} | {"label": Value("int64")}
    seen = {
        _mark(row)
        for split in _kept_out(settings)
        if split in prepared.splits
        for row in _texts(prepared.splits[split])
    }
    known = len(seen)

    def unseen(batch: dict[str, list[str]]) -> dict[str, list[str] | list[int]]:
        first, new = len(seen) - known, []
        for row in zip(*(batch[name] for name in columns), strict=True):
            if (mark := _mark(row)) not in seen:
                seen.add(mark)
                fingerprint.update(mark)
                new.append(row)
        ids = [f"{UNLABELLED}-{first + at}" for at in range(len(new))]
        texts = {name: [row[at] for row in new] for at, name in enumerate(names)}
        return {"id": ids, **texts, "label": [HIDDEN] * len(new)}

    return table.map(
        unseen,
        batched=True,
        remove_columns=table.column_names,
        features=Features(kinds),
        cache_file_name=str(target),
        new_fingerprint=UNLABELLED,
    )


def _mark(row: Texts) -> bytes:
    return hashlib.blake2b(json.dumps(row).encode(), digest_size=16).digest()


def _kept_out(settings: schema.Dataset) -> tuple[str, ...]:
    """Return the splits whose rows must not be used as unlabelled texts."""
    return ("validation", "test", *settings.extra)


def as_dataset(settings: schema.Dataset) -> schema.Dataset:
    """Return the unlabelled files' settings as those of a data set, to share its readers."""
    wanted = settings.unlabelled
    return schema.Dataset(
        name=settings.name,
        path=wanted.path,
        hub=wanted.hub,
        subset=wanted.subset,
        text=settings.text if wanted.text is None else wanted.text,
        label="",
        missing=settings.missing if wanted.missing is None else wanted.missing,
    )


def _texts(table: Dataset) -> list[Texts]:
    names = [name for name in ("text", "text_pair") if name in table.column_names]
    return list(zip(*(list(table[name]) for name in names), strict=True))
