"""Checks the words of a command before they are parsed: flags, spaces, dashes, quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NoReturn

from hydra._internal.utils import get_args_parser

from distill_runner.command_line.key_types import type_rule
from distill_runner.errors import Mend, Refused

# The flags of Hydra that distill-run accepts, and how many arguments each takes.
_FLAGS = {
    "-m": 0,
    "--multirun": 0,
    "--resolve": 0,
    "--run": 0,
    "-r": 0,
    "-c": 1,
    "--cfg": 1,
    "-p": 1,
    "--package": 1,
    "--shell-completion": 0,
    "-sc": 0,
}
# The flags of Hydra that distill-run rejects: the reason, and the alternative.
_NOT_OURS = {
    "--hydra-help": ("--help lists the flags of distill-run", "--help"),
    "--info": ("it prints internals of Hydra", "--cfg job"),
    "-i": ("it prints internals of Hydra", "--cfg job"),
    "--config-path": ("distill-run brings its own configuration", "hydra.searchpath=[FOLDER]"),
    "-cp": ("distill-run brings its own configuration", "hydra.searchpath=[FOLDER]"),
    "--config-name": ("distill-run brings its own configuration", "experiment=NAME"),
    "-cn": ("distill-run brings its own configuration", "experiment=NAME"),
    "--config-dir": ("a key adds your own options", "hydra.searchpath=[FOLDER]"),
    "-cd": ("a key adds your own options", "hydra.searchpath=[FOLDER]"),
    "--experimental-rerun": ("it would load a pickle", "output_dir=FOLDER"),
}
_SHELLS = ("bash", "zsh", "fish")
_DASHES = "‐‑‒–—―−"
_QUOTES = "“”„‟‘’‚‛\u00a0\u200b\ufeff"
_RULE = "flags listed by `distill-run --help`, then GROUP=OPTION and KEY=VALUE"
_NEGATED = re.compile(r"no_(?=.)")


def flags_first(argv: Sequence[str]) -> list[str]:
    """Move the flags to the front, since Hydra's parser needs the settings to be contiguous."""
    flags: list[str] = []
    others = list(argv)
    at = 0
    while at < len(others):
        name, equals, _ = others[at].partition("=")
        size = 1 + (_FLAGS.get(name, 0) if not equals else 0)
        if name in _FLAGS:
            flags += others[at : at + size]
            del others[at : at + size]
        else:
            at += 1
    return flags + others


def arguments(argv: Sequence[str]) -> tuple[list[str], bool]:
    """Split the arguments into overrides and flags.

    Returns:
        The overrides, and whether they are a sweep.

    Raises:
        Refused: a flag is unknown or misused, or a setting contains spaces.
    """
    _check_signs(argv)
    _check_flags(argv)
    _check_spaces(argv)
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise _bad_flag(message, " ".join(argv), way_out="distill-run --help")

    parser.error = refuse
    found = parser.parse_args(flags_first(argv))
    modes = [found.run, found.multirun, found.cfg is not None]
    if sum(modes) + found.shell_completion > 1:
        raise _bad_flag(
            "-m, --cfg and --run exclude one another", " ".join(argv), way_out="distill-run --help"
        )
    if found.resolve and found.cfg is None:
        mend = Mend(("--resolve",), ("--cfg", "job", "--resolve"))
        raise _bad_flag("it requires --cfg", "--resolve", mend=mend)
    if found.package is not None and found.cfg is None:
        mend = Mend((f"--package={found.package}",), ("--cfg", "job", f"--package={found.package}"))
        raise _bad_flag("it requires --cfg", "--package", mend=mend)
    if found.package is not None:
        _check_package(found.package)
    return list(found.overrides), bool(found.multirun)


def _check_package(package: str) -> None:
    if type_rule(package) is None and package.partition(".")[0] not in ("method", "_global_"):
        raise _bad_flag(
            "--package takes a key",
            f"--package {package}",
            way_out="--cfg job --package training",
        )


def _bad_flag(
    reason: str, given: str, *, way_out: str | None = None, mend: Mend | None = None
) -> Refused:
    return Refused(
        f"Invalid command: {reason}.",
        key="the command",
        value=given,
        rule=_RULE,
        way_out=way_out,
        mend=mend,
    )


def _check_signs(argv: Sequence[str]) -> None:
    """Reject typographic dashes and quotes, as word processors insert them."""
    for word in argv:
        plain = _with_plain_signs(word)
        if plain != word:
            raise _bad_flag(
                "it contains a typographic dash or quote",
                word,
                mend=Mend((word,), (plain,)),
            )


def _with_plain_signs(word: str) -> str:
    key, equals, value = word.strip(_QUOTES).partition("=")
    if key and key[0] in _DASHES:
        key = "--" + key.lstrip(_DASHES + "-")
    value = value.strip(_QUOTES)
    number = re.sub(f"[{_DASHES}]", "-", value)
    return key + equals + (number if re.fullmatch(r"[-+.\de]+", number) else value)


def _check_flags(argv: Sequence[str]) -> None:
    at = 0
    while at < len(argv):
        word = argv[at]
        name = word.partition("=")[0]
        if name in _NOT_OURS:
            reason, instead = _NOT_OURS[name]
            raise _bad_flag(reason, name, way_out=instead)
        if word.startswith("-") and name not in _FLAGS:
            raise _no_flag(argv, at)
        if name in ("-c", "--cfg"):
            _check_cfg(argv, at)
        if name in ("-sc", "--shell-completion"):
            _check_completion(argv)
        at += 1 + (_FLAGS.get(name, 0) if "=" not in word else 0)


def _check_cfg(argv: Sequence[str], at: int) -> None:
    name, equals, what = argv[at].partition("=")
    following = argv[at + 1] if at + 1 < len(argv) else ""
    if (what if equals else following) in ("job", "hydra", "all"):
        return
    apart = equals or not following or "=" in following or following.startswith("-")
    wrong = (argv[at],) if apart else (argv[at], following)
    raise _bad_flag(
        f"{name} takes job, hydra or all", " ".join(wrong), mend=Mend(wrong, ("--cfg", "job"))
    )


def _check_completion(argv: Sequence[str]) -> None:
    shells = [f"{verb}={shell}" for verb in ("install", "uninstall") for shell in _SHELLS]
    if not any(word in shells or word.startswith("query=") for word in argv):
        raise _bad_flag(
            "--shell-completion needs a shell",
            " ".join(argv),
            way_out='eval "$(distill-run --shell-completion install=bash)"',
        )


def _no_flag(argv: Sequence[str], at: int) -> Refused:
    """Explain an unknown flag, usually from another tool, and suggest it as a setting."""
    word = argv[at]
    name, equals, value = word.lstrip("-").partition("=")
    key = name.replace("-", "_")
    wrong: tuple[str, ...] = (word,)
    following = argv[at + 1] if at + 1 < len(argv) else ""
    if not equals and following and "=" not in following and not following.startswith("--"):
        value, wrong = following, (word, following)
    elif not equals:
        value = "false" if _NEGATED.match(key) else "true"
        key = _NEGATED.sub("", key)
    reason = (
        f"there is no flag {word if equals else '-' * (len(word) - len(word.lstrip('-'))) + name}"
    )
    if not key:
        return _bad_flag(reason, word, mend=Mend((word,), ()))
    return _bad_flag(reason, " ".join(wrong), mend=Mend(wrong, (f"{key}={value}",)))


def _check_spaces(argv: Sequence[str]) -> None:
    """Reject `key = value`, `key: value` and similar."""
    for at, word in enumerate(argv):
        following = argv[at + 1] if at + 1 < len(argv) else ""
        value, wrong = following.removeprefix("="), tuple(argv[at : at + 2])
        key = word.rstrip(":=")
        if word.startswith("-") or not following or not key or "=" in value or "=" in key:
            continue
        if following in ("=", ":"):
            if at + 2 >= len(argv):
                continue
            value = argv[at + 2]
            wrong = (*wrong, value)
        elif not (word.endswith((":", "=")) or following.startswith("=")):
            continue
        raise _bad_flag(
            "a setting is one word, without spaces around =",
            " ".join(wrong),
            mend=Mend(wrong, (f"{key}={value}",)),
        )
