"""Locates the files of a data set: one file, or train, validation and test in a folder."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from pathlib import Path

from distill_runner.config import schema
from distill_runner.errors import Refused

ENDINGS = (".csv", ".tsv", ".parquet", ".jsonl", ".json")
_FILE_SPLITS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "dev": "validation",
    "test": "test",
}
# MNLI has two validation files; this one has the training rows' genres.
_STAND_INS = {"validation": "validation_matched"}
_EXTRA = "validation_"  # followed by the name of an extra split
_FILE_NAME = re.compile(r"(?P<name>.+?)(-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?")


def locate(settings: schema.Dataset, source: Path) -> dict[str, tuple[Path, ...]]:
    """Return the files of each split: "train", "validation", "test" and the extra ones.

    Args:
        settings: the data set's settings.
        source: a file of training rows, or a folder with train.*.

    Raises:
        Refused: a file does not exist, is ambiguous, or is not readable.
    """
    try:
        files = _located(settings, source)
        for path in (path for paths in files.values() for path in paths):
            with path.open("rb"):
                pass
    except OSError as error:
        what = f"'{source.name}' cannot be read: {error.strerror or error}."
        raise bad_content(
            settings, source, what, rule="readable files", way_out="change the permissions"
        ) from error
    return files


def _located(settings: schema.Dataset, source: Path) -> dict[str, tuple[Path, ...]]:
    if source.is_file():
        if source.suffix.lower() not in ENDINGS:
            raise bad_path(settings, source, f"'{source.name}' has an unsupported format.")
        _check_extra(settings, source, ())
        return {"train": (source,)}
    if not source.is_dir():
        found = "is not a regular file" if source.exists() else "does not exist"
        raise bad_path(settings, source, f"There is no file or folder '{source}': it {found}.")
    files = _files_in(source, settings.extra)
    if "train" not in files:
        raise bad_path(settings, source, f"The folder '{source}' has no training file.")
    _check_extra(settings, source, files)
    for split, paths in files.items():
        if not _are_complete(paths):
            names = ", ".join(path.name for path in paths)
            what = f"Several files could hold the {split} rows: {names}."
            raise bad_path(settings, source, what)
    return files


def _check_extra(settings: schema.Dataset, source: Path, files: Container[str]) -> None:
    for split in settings.extra:
        if split not in files:
            raise Refused(
                f"There is no file for the split {split!r}.",
                key="dataset.extra",
                value=split,
                rule=f"a file {_EXTRA}{split}.* next to train.* in '{source}'",
                way_out="dataset.extra=[]",
            )


def _files_in(folder: Path, extra: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    splits = {name: name for name in _STAND_INS.values()} | _FILE_SPLITS
    splits |= {f"{_EXTRA}{split}": split for split in extra}
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        match = _FILE_NAME.fullmatch(path.stem)
        split = splits.get(match["name"]) if match else None
        if split and path.suffix.lower() in ENDINGS and path.is_file():
            found.setdefault(split, []).append(path)
    for split, stand_in in _STAND_INS.items():
        paths = found.pop(stand_in, [])
        if paths:
            found.setdefault(split, paths)
    return {split: tuple(paths) for split, paths in found.items()}


def _are_complete(paths: tuple[Path, ...]) -> bool:
    """Return whether the files are a single file, or all shards of one."""
    matches = [_FILE_NAME.fullmatch(path.stem) for path in paths]
    shards = {match["shards"] for match in matches if match}
    suffixes = {path.suffix for path in paths}
    expected = 1 if None in shards else int(max(shard for shard in shards if shard))
    return len(shards) == len(suffixes) == 1 and len(paths) == expected


def bad_path(settings: schema.Dataset, path: Path, what: str) -> Refused:
    """Return the refusal of a file or folder, listing the files there."""
    return bad_content(
        settings,
        path,
        what,
        rule="a file, or a folder with train.* and, if any, validation.*, test.*; "
        + ", ".join(ENDINGS),
        way_out=_listing(path if path.is_dir() else path.parent),
    )


def bad_content(
    settings: schema.Dataset, path: Path, what: str, *, rule: str, way_out: str
) -> Refused:
    """Return the refusal of a file because of its contents."""
    local = settings.path is not None
    return Refused(
        what,
        key="dataset.path" if local else "dataset.hub",
        value=str(path) if local else settings.hub,
        rule=rule,
        way_out=way_out,
    )


def _listing(folder: Path) -> str:
    """Return a list of the folder's data files as text, or of its other files if it has none."""
    try:
        names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        return f"another folder; this one cannot be listed ({error.strerror})"
    data = [name for name in names if name.endswith(ENDINGS)]
    seen = data or [name for name in names if not name.startswith(".")]
    shown = ", ".join(seen[:12]) + (", …" if len(seen) > 12 else "")
    return f"one of: {shown}" if data else f"the folder contains: {shown or 'nothing'}"


def unreadable(settings: schema.Dataset, path: Path, error: BaseException) -> Refused:
    """Return the refusal of a file that could not be read because of `error`."""
    cause = error.__cause__ or error
    if isinstance(cause, UnicodeDecodeError):
        return bad_path(settings, path, f"'{path.name}' is not text in UTF-8.")
    reason = " ".join(str(cause).split())[:200] or "it holds no records"
    return bad_path(settings, path, f"'{path.name}' cannot be read: {reason}")
