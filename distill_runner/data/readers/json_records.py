"""Reads rows from JSON files: one object per line, or one list of objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from distill_runner.config import schema
from distill_runner.data.readers.files import bad_content, unreadable
from distill_runner.errors import Refused

_RULE = "a JSON object with the columns as its keys, one on each line, or one list of them"
_WAY_OUT = 'lines such as {"text": "a good film", "label": "positive"}'


@dataclass(frozen=True)
class Record:
    """An object and its place in the file, such as "line 7"."""

    where: str
    cells: dict[str, object]
    raw: str  # the object as the file has it; from a list, written again


class _Twice(ValueError):
    """Raised if an object repeats a key; the message is the key."""


def records(settings: schema.Dataset, path: Path) -> Iterator[Record]:
    """Yield the objects of a file.

    Raises:
        Refused: the file contains something else, or an object that cannot be parsed.
    """
    for where, found, raw in _values(settings, path):
        if not isinstance(found, dict):
            raise _bad(settings, path, f"'{path.name}', {where}: not an object.")
        yield Record(where, found, raw)


def _values(settings: schema.Dataset, path: Path) -> Iterator[tuple[str, object, str]]:
    try:
        # Line by line and only once, since the file may be a pipe.
        with path.open(encoding="utf-8-sig") as content:
            begun = False
            for number, line in enumerate(content, 1):
                if not begun and line.lstrip().startswith("["):
                    yield from _listed(settings, path, line + content.read())
                    return
                if line.strip():
                    begun, where = True, f"line {number}"
                    yield where, _parsed(settings, path, where, line), line.strip()
    except (UnicodeDecodeError, OSError) as error:
        raise unreadable(settings, path, error) from error


def _listed(settings: schema.Dataset, path: Path, text: str) -> Iterator[tuple[str, object, str]]:
    found = _parsed(settings, path, "its list", text)
    assert isinstance(found, list)
    for number, item in enumerate(found, 1):
        yield f"object {number}", item, json.dumps(item, ensure_ascii=False)


def _parsed(settings: schema.Dataset, path: Path, where: str, text: str) -> object:
    try:
        return json.loads(text, object_pairs_hook=_once)
    except RecursionError:
        why = "it is nested too deeply"
    except _Twice as error:
        why = f"it has the key {str(error)[:60]!r} twice"
    except ValueError as error:
        why = " ".join(str(error).split())[:200]
    raise _bad(settings, path, f"'{path.name}', {where} cannot be read: {why}.")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Twice(next(name for name in names if names.count(name) > 1))
    return found


def _bad(settings: schema.Dataset, path: Path, what: str) -> Refused:
    return bad_content(settings, path, what, rule=_RULE, way_out=_WAY_OUT)
