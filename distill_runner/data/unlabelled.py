"""Adds rows without labels, which students learn from their teachers' outputs.

They come from a file, from the labelled rows that the split leaves over, or from both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_runner.config import schema
from distill_runner.data.held_out import held_out_rows
from distill_runner.data.load import Prepared, files_hash
from distill_runner.data.readers.class_labels import ClassLabels
from distill_runner.data.readers.columns import text_columns
from distill_runner.data.readers.files import locate
from distill_runner.data.readers.missing import TEXT, Gaps, check_none, without_text
from distill_runner.data.readers.places import Places
from distill_runner.data.readers.tables import load, quiet
from distill_runner.data.row_hash import COLUMNS, hash_row, hash_rows
from distill_runner.errors import Refused
from distill_runner.planning.stages import UNLABELLED
from distill_runner.storage.integrity import Say, provide
from distill_runner.tasks.kinds import task_of

if TYPE_CHECKING:
    from datasets import Dataset

_FORMAT = 5  # version of the stored data
_BATCH_ROWS = 10_000
_DRAW = 8  # of the generators seeded with `dataset.split_seed`; the splits have the first ones


@dataclass(frozen=True)
class Sources:
    """Where rows without labels come from.

    Args:
        file: a file or folder; None if none is named.
        rest: whether the labelled rows that the split leaves over are among them. Without
            either, sentences are generated.
    """

    file: Path | None
    rest: bool


def check_rest(prepared: Prepared) -> None:
    """Refuse a split that leaves no row over.

    Raises:
        Refused: there are no such rows.
    """
    if not prepared.counts["rest"]:
        raise Refused(
            "The split leaves no row over to learn without its label.",
            key="dataset.split.train",
            value=prepared.counts["train"],
            rule="fewer rows than there are",
            way_out="dataset.split.train=0.3",
        )


def add_unlabelled(
    prepared: Prepared,
    settings: schema.Dataset,
    *,
    sources: Sources,
    store_dir: Path,
    say: Say = print,
) -> Prepared:
    """Add the split "unlabelled" to `prepared`, with the same columns and hidden labels.

    Repeated rows are kept once. Rows of validation, test or an extra split are left out, and, if
    the split is grouped, texts that contain one of theirs or are contained in one. With
    `unlabelled.rest` or `unlabelled.ratio` the rows are in random order, so that a smaller ratio
    draws the first rows of a larger one.

    Args:
        prepared: the labelled data set.
        settings: its settings; `unlabelled` names the texts.
        sources: where the rows come from.
        store_dir: the store; this writes to its "data" folder.
        say: receives messages about damage.

    Raises:
        Refused: the settings do not fit the files, or no row is left.
    """
    from datasets import load_from_disk

    files = locate(as_dataset(settings), sources.file) if sources.file else {}
    folder = store_dir / "data" / f"unlabelled-{_key(prepared, settings, sources, files)}"

    def build(made: Path) -> None:
        with quiet():
            _build(prepared, settings, sources, made)

    provide(folder, build, say=say)
    table = load_from_disk(str(folder))
    read = json.loads((folder / "read.json").read_text(encoding="utf-8"))
    name = next((paths[0].name for paths in files.values()), "")
    left_out = {f"{UNLABELLED} {name}": counts for counts in read["left_out"].values()}
    return replace(
        prepared,
        splits={**prepared.splits, UNLABELLED: table},
        fingerprints={**prepared.fingerprints, UNLABELLED: read["fingerprint"]},
        counts={
            **prepared.counts,
            UNLABELLED: len(table),
            "dropped_unlabelled": read["dropped"],
        },
        left_out={**prepared.left_out, **left_out},
    )


def _key(
    prepared: Prepared,
    settings: schema.Dataset,
    sources: Sources,
    files: Mapping[str, Sequence[Path]],
) -> str:
    """Return the hash of everything that decides the rows and their order."""
    as_data, wanted, known = as_dataset(settings), settings.unlabelled, prepared.fingerprints
    deciding = [
        *(_FORMAT, files_hash(files) if files else wanted.generate, text_columns(as_data)),
        *(wanted.rows, as_data.missing.value, settings.split.scheme.value, settings.group),
        *(known.get("rest") if sources.rest else None, _most(prepared, wanted)),
        *([known.get(split) for split in _kept_out(settings)], settings.split_seed),
    ]
    return hashlib.sha256(json.dumps(deciding).encode()).hexdigest()


def _most(prepared: Prepared, wanted: schema.Unlabelled) -> int | None:
    """Return the largest number of rows to draw; None for all."""
    if wanted.ratio is None:
        return None
    return max(1, round(wanted.ratio * prepared.counts["train"]))


def _build(prepared: Prepared, settings: schema.Dataset, sources: Sources, folder: Path) -> None:
    from datasets import concatenate_datasets

    scratch, wanted = folder.parent, settings.unlabelled
    parts = [_rest(prepared)] if sources.rest and "rest" in prepared.splits else []
    left_out: dict[str, dict[str, int]] = {}
    rows = sum(map(len, parts))
    if sources.file or not sources.rest:
        texts, left_out = _read(settings, sources.file, cache=scratch / "cache")
        rows += len(texts) + sum(sum(counts.values()) for counts in left_out.values())
        parts.append(_learnable(texts, prepared, settings, target=scratch / "file.arrow"))
    if not sum(map(len, parts)):
        raise Refused(
            "No unlabelled rows are left.",
            key="dataset.unlabelled.path",
            value=str(sources.file),
            rule="rows that are not among those of validation, test and dataset.extra",
        )
    table = concatenate_datasets(parts)
    if sources.rest or wanted.ratio is not None:
        generator = np.random.default_rng([settings.split_seed, _DRAW])
        table = table.select(generator.permutation(len(table)))
    distinct = _distinct(table, prepared, settings, target=scratch / "kept.arrow")
    most = _most(prepared, wanted)
    kept = distinct if most is None else distinct.select(range(min(most, len(distinct))))
    kept.save_to_disk(str(folder))
    summary = {
        "dropped": rows - len(distinct),
        "left_out": left_out,
        # Over the kept rows only: two tasks that keep the same ones can share a stage on them.
        "fingerprint": hash_rows(kept),
    }
    (folder / "read.json").write_text(json.dumps(summary), encoding="utf-8")


def _rest(prepared: Prepared) -> Dataset:
    """Return the texts of the labelled rows that the split leaves over."""
    rest = prepared.splits["rest"]
    return rest.select_columns([name for name in COLUMNS if name in rest.column_names])


def _read(
    settings: schema.Dataset, source: Path | None, *, cache: Path
) -> tuple[Dataset, dict[str, dict[str, int]]]:
    """Return the file's texts, and the number of rows left out, by file and reason."""
    from datasets import Dataset

    wanted, as_data = settings.unlabelled, as_dataset(settings)
    names = text_columns(as_data)
    if source is None:
        from distill_runner.data.synthetic import generate

        # A seed different from the labelled rows' gives different sentences.
        made = generate(wanted.generate, settings.split_seed + 1000)
        return Dataset.from_dict({"text": [text for text, _ in made]}), {}
    paths = locate(as_data, source)["train"]
    table = load(ClassLabels(as_data), paths, cache=cache)
    table = table.select_columns(names)
    rows = len(table) if wanted.rows is None else min(wanted.rows, len(table))
    table = table.select(range(rows))
    gaps = Gaps(Places(as_data, paths), {TEXT: without_text(table, names)})
    check_none(as_data, [gaps])
    left_out = {paths[0].name: gaps.counts} if gaps.counts else {}
    kept = table.select(gaps.kept(range(rows))) if left_out else table
    return kept.rename_columns(dict(zip(names, COLUMNS, strict=False))), left_out


def _learnable(
    table: Dataset, prepared: Prepared, settings: schema.Dataset, *, target: Path
) -> Dataset:
    """Write the rows that do not repeat or touch a held-out row to `target`."""
    held_out = held_out_rows(
        prepared.splits,
        _kept_out(settings),
        whole_phrases=settings.split.scheme is schema.SplitScheme.grouped,
    )
    columns = text_columns(settings)
    # Its groups are known if a text is the group, such as the question of candidate answers.
    group = COLUMNS[columns.index(settings.group)] if settings.group in columns else None

    def keep(batch: dict[str, list[str]]) -> list[bool]:
        rows = list(zip(*(batch[name] for name in table.column_names), strict=True))
        return [not out for out in held_out.contains(rows, batch[group] if group else None)]

    return table.filter(
        keep,
        batched=True,
        batch_size=_BATCH_ROWS,
        cache_file_name=str(target),
        new_fingerprint="learnable",
    )


def _distinct(
    table: Dataset, prepared: Prepared, settings: schema.Dataset, *, target: Path
) -> Dataset:
    """Write each row once to `target`, with an id and a hidden label.

    There may be millions of rows, so only a digest of 16 bytes is remembered of each.
    """
    from datasets import Features, Value

    task, names = task_of(settings), table.column_names
    hidden = task.hidden_label(len(prepared.label_names))
    kinds = {name: Value("string") for name in ("id", *names)} | {"label": task.label_feature()}
    seen: set[bytes] = set()

    def unseen(batch: dict[str, list[str]]) -> dict[str, list[Any]]:
        first, new = len(seen), []
        for row in zip(*(batch[name] for name in names), strict=True):
            if (mark := hash_row(row)) not in seen:
                seen.add(mark)
                new.append(row)
        ids = [f"{UNLABELLED}-{first + at}" for at in range(len(new))]
        texts = {name: [row[at] for row in new] for at, name in enumerate(names)}
        return {"id": ids, **texts, "label": [hidden] * len(new)}

    return table.map(
        unseen,
        batched=True,
        remove_columns=names,
        features=Features(kinds),
        cache_file_name=str(target),
        new_fingerprint=UNLABELLED,
    )


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
