"""Command lines: keys and options typed correctly, mistyped, and nonsensical."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

from fuzz.cases import FEW_ROWS, SHRUNK, Case, Place

# Keys that say where things are written, or how much work is asked for: these are drawn from
# values that end in seconds and stay in the draw's own folder.
SIZES = {
    "dataset.generate": ("0", "1", "40", "160", "-1", "1.5"),
    "pretrain.dataset.generate": ("0", "1", "40", "160", "-1"),
    "dataset.unlabelled.generate": ("0", "1", "40", "-5"),
    "pretrain.dataset.unlabelled.generate": ("0", "1", "40", "-5"),
    "output_dir": ("out", "out/deeper", "''", ".", "file.txt", "file.txt/x", "user"),
    "store.dir": ("store", "file.txt", "''", "out/store", "user"),
    "runtime.processes": ("0", "1", "2", "-1", "x"),
    "runtime.compile": ("false", "null", "x"),  # true is asked for in earnest, and takes a minute
    "runtime.threads": ("0", "1", "2", "-1", "x"),
}
STRANGE = (
    "null", "true", "false", "''", "0", "-1", "1", "2", "0.5", "1e-3", "1e308", "-1e308", "1e-400",
    "nan", "inf", "-inf", "999999999999999999999", "[]", "[1]", "[1,2]", "[[1]]", "[null]", "{}",
    "{a:1}", "x", "'a b'", "[x,y]", "${seed}", "${student.model}", "${nowhere}", "${oc.env:HOME}",
    "${now:%Y}", "'\\x1b[31mred'", "'日本'", "'../../escaped'", "'/etc/passwd'", "y" * 300,
    "'a\nb'", "'%s%n'", "'$(touch escaped)'", "1,2", "true,false", "'*'", "glob(*)", "range(1,3)",
)  # fmt: skip
GROUPS = (
    "method", "teacher", "student", "dataset", "noise", "tracker", "runtime", "tune",
    "profile", "experiment", "dataset@pretrain.dataset", "teacher@pretrain.teacher",
)  # fmt: skip
SYNTAX = (
    "word", "--method kd", "--method", "-x", "=", "=1", "seed=", "seed", "+seed=1", "~seed",
    "++seed=2", "+new=1", "~teacher", "seed=1=2", "seed = 1", "dataset.text=[a,b", "a.b.c=1",
    "seed=1, 2, 3", "hydra.run.dir=escaped", "hydra.job.chdir=true", "hydra.sweep.dir=escaped",
    "hydra/launcher=none", "hydra.output_subdir=escaped", "--resolve", "--cfg", "--cfg=job",
    "--version", "--info", "-h", "--help", "--config-dir=.", "--config-name=other", "'", '"',
    "method.stages.kd.teachers=[nobody]", "method.stages.baseline=null", "method.stages={}",
    "teacher=[bert,roberta]", "teacher=[]", "method=[kd]", "dataset=inf", "method=1",
    "noise=[null]",
)  # fmt: skip


def draw(rng: random.Random, place: Place) -> Case:
    """A base that works, and some overrides that may not."""
    (place.folder / "file.txt").write_text("mine")
    (place.folder / "user").mkdir()
    (place.folder / "user" / "thesis.tex").write_text("mine")
    method = rng.choice(_options("method"))
    typed = [f"method={method}", *_some(rng, method)]
    named = {item.partition("=")[0] for item in typed}
    base = [*SHRUNK, *FEW_ROWS, "output_dir=out", f"store.dir={place.folder}/store"]
    command = [item for item in base if item.partition("=")[0] not in named]
    return Case("overrides", " ".join(typed), [*command, *typed], expected="either")


def _some(rng: random.Random, method: str) -> Iterator[str]:
    for _ in range(rng.choice((0, 1, 1, 1, 2, 2, 3))):
        way = rng.random()
        if way < 0.1:
            yield rng.choice(SYNTAX)
        elif way < 0.3:
            group = rng.choice(GROUPS)
            options = [*_options(group.partition("@")[0]), *STRANGE[:8], "mistyped"]
            yield f"{group}={rng.choice(options)}"
        else:
            yield _a_key(rng, method)


def _a_key(rng: random.Random, method: str) -> str:
    leaves = _leaves(method)
    key = rng.choice(sorted(leaves))
    if rng.random() < 0.05:
        at = rng.randrange(len(key))
        key = key[:at] + key[at + 1 :]
    if key in SIZES:
        return f"{key}={rng.choice(SIZES[key])}"
    values = [*STRANGE, *_like(rng, leaves.get(key))]
    if key.startswith("models."):  # a wide model is asked for in earnest, and takes minutes
        values = [value for value in values if "9999" not in value and "1e308" not in value]
    return f"{key}={rng.choice(values)}"


def _like(rng: random.Random, value: Any) -> list[str]:
    """Values that are near the one there is, as often as strange ones."""
    found: list[str] = []
    if isinstance(value, bool):
        found = [str(not value).lower()]
    elif isinstance(value, int | float):
        found = [str(value * 2), str(value / 2), str(value + 1), str(rng.uniform(0, 1)), str(value)]
    elif isinstance(value, list):
        found = [str([*value, *value[-1:]]).replace("'", ""), str(value[:-1]).replace("'", "")]
    else:
        found = ["auto", "never", "random", str(value)]
    return found * 6


@cache
def _options(group: str) -> tuple[str, ...]:
    from distill_runner.config.compose import option_names

    return tuple(option_names(group))


@cache
def _leaves(method: str) -> dict[str, Any]:
    """Every key that this method's configuration has, with its default."""
    from omegaconf import OmegaConf
    from support.tiny import composed

    node = OmegaConf.to_container(composed("profile=tiny", f"method={method}"), resolve=False)
    return dict(_flat(node, ""))


def _flat(node: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{at}.{key}" if at else str(key))
    else:
        yield at, node
