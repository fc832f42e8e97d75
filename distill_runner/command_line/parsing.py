"""Parses one word of a command with Hydra's parser, and explains parse errors."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from distill_runner.command_line.help import group_names
from distill_runner.command_line.suggestions import NOT_SET, closest, fold_name
from distill_runner.config.compose import option_names
from distill_runner.errors import Mend, Refused


def parse_override(text: str, following: Sequence[str] = ()) -> Override:
    """Parse one override.

    Args:
        following: the words after it, in case spaces split one value into several words.

    Raises:
        Refused: it cannot be parsed.
    """
    if text.startswith("="):
        raise _no_setting(text, f"{text!r} has no key.", "distill-run --help")
    try:
        return _read(text)
    except HydraException:
        raise _unreadable(text, following) from None


@cache
def _read(text: str) -> Override:
    return OverridesParser.create().parse_override(text)


def _unreadable(text: str, following: Sequence[str]) -> Refused:
    key, equals, value = text.partition("=")
    if not equals:
        return _bare(text)
    if not re.fullmatch(r"[\w@/:.-]+", key) or ".." in key or key[0] == "." or key[-1] == ".":
        plain = re.sub(r"[^\w@.]+", ".", key).strip(".")
        plain = re.sub(r"\.{2,}", ".", plain)
        reason = "a key consists of letters, digits and _, with dots between its parts"
        return Refused(
            f"{key!r} is not a valid key.",
            key=key,
            value=value,
            rule=reason,
            mend=Mend((text,), (f"{plain}={value}",)) if plain != key else None,
        )
    several = re.split(r"\s+(?=[\w@./]+=)", text)
    if len(several) > 1:
        return Refused(
            "Several settings are inside one pair of quotes.",
            key=key,
            value=value,
            rule="each setting in its own quotes, if it needs any",
            mend=Mend((text,), tuple(several)),
        )
    if value.startswith("="):
        return Refused(
            f"The value of {key} begins with =.",
            key=key,
            value=value,
            rule="KEY=VALUE with a single =",
            mend=Mend((text,), (f"{key}={value.lstrip('=')}",)),
        )
    if value.endswith(","):
        return _ends_in_a_comma(text, following)
    return Refused(
        f"The value of {key} cannot be parsed.",
        key=key,
        value=value,
        rule="matching brackets; quotes around texts that contain brackets, quotes, = or commas",
        mend=Mend((text,), (_repaired(key, value),)),
    )


def _no_setting(text: str, what: str, way_out: str | None, mend: Mend | None = None) -> Refused:
    rule = "GROUP=OPTION or KEY=VALUE"
    return Refused(what, key="the command", value=text, rule=rule, way_out=way_out, mend=mend)


def _bare(word: str) -> Refused:
    """Return the refusal of a word without =, such as an option without its group, or a file."""
    what = f"{word!r} is not a setting."
    if word.lower() in ("help", "version", "usage", "?"):
        page = "version" if word.lower() == "version" else "help"
        return _no_setting(word, what, f"distill-run --{page}")
    if word.lower() in ("multirun", "sweep"):
        return _no_setting(word, what, None, Mend((word,), ("-m",)))
    if fold_name(word) in NOT_SET:
        return _no_setting(
            word, f"{what[:-1]}: {NOT_SET[fold_name(word)]}.", None, Mend((word,), ())
        )
    key, colon, value = word.partition(":")
    if colon and value and re.fullmatch(r"[\w.]+", key):
        return _no_setting(word, what, None, Mend((word,), (f"{key}={value}",)))
    found = [f"{group}={word}" for group in sorted(group_names()) if word in option_names(group)]
    if len(found) == 1:
        return _no_setting(word, what, None, Mend((word,), tuple(found)))
    if not found and re.search(r"[/\\]|\.(csv|tsv|jsonl?|parquet)$", word):
        return _no_setting(
            word, what, None, Mend((word,), ("dataset=files", f"dataset.path={word}"))
        )
    near = closest(word, option_names("method"))
    if not found and near:
        return _no_setting(word, what, None, Mend((word,), (f"method={near}",)))
    return _no_setting(word, what, ", or ".join(found) or "distill-run --help")


def _ends_in_a_comma(text: str, following: Sequence[str]) -> Refused:
    key, _, value = text.partition("=")
    rest: list[str] = []
    for word in following:
        if "=" in word or (rest and not rest[-1].endswith(",")):
            break
        rest.append(word)
    joined = f"{key}={value}{''.join(rest)}".rstrip(",")
    several = "," in joined
    return Refused(
        f"The value of {key} ends in a comma.",
        key=key,
        value=value,
        rule="commas without spaces between the values of a sweep"
        if several
        else "one value; or, with -m, several separated by commas",
        mend=Mend((text, *rest), ("-m", joined) if several else (joined,)),
    )


def _repaired(key: str, value: str) -> str:
    if value.startswith("[") and value.count("[") == value.count("]") + 1:
        return f"{key}={value}]"
    bare = re.sub(r"""["'\\]""", "/" if re.match(r"[A-Za-z]:", value) else "", value)
    return f'{key}="{bare}"'


def check_not_added(text: str) -> None:
    """Reject +KEY, ++KEY and ~KEY.

    Raises:
        Refused: the override adds or removes a key.
    """
    if text.startswith(("+", "~")):
        key, equals, value = text.lstrip("+~").partition("=")
        mend = Mend((text,), (f"{key}={value}",)) if text[0] == "+" and equals else None
        raise Refused(
            "Keys can be changed, but not added or removed.",
            key=text[: len(text) - len(text.lstrip("+~"))] + key,
            value=value,
            rule="KEY=VALUE for a key of the configuration",
            way_out=None if mend else f"{key}=VALUE",
            mend=mend,
        )
