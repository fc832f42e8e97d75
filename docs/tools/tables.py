"""Writes the tables of README and docs from the records: python docs/tools/tables.py

A page holds a table between two markers, `<!-- table NAME -->` and `<!-- end -->`. Every figure
is computed here from `result.json` and `record.json` under outputs/records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t

ROOT = Path(__file__).parents[2]
RECORDS = ROOT / "outputs" / "records"
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_MARKED = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SEEDS = (1, 2, 3)


def result(record: str, run: str) -> dict[str, Any]:
    """Read `result.json` of one run of a record."""
    found: dict[str, Any] = json.loads((RECORDS / record / run / "result.json").read_text("utf-8"))
    return found


def scores(record: str, run: str, metric: str, *, of: str = "student") -> np.ndarray:
    """Return a metric on test in %, for seeds 1, 2 and 3 of a run. [seeds]."""
    return np.array([_score(result(record, f"{run}-{seed}"), metric, of) for seed in SEEDS])


def _score(found: dict[str, Any], metric: str, of: str) -> float:
    model = found["baseline"] if of == "baseline" else found
    return 100 * float(model["metrics"]["test"][metric])


def student_interval(values: Sequence[float] | np.ndarray) -> tuple[float, float]:
    """Return both ends of Student's 95% interval of a mean."""
    sample = np.asarray(values, dtype=float)
    reach = student_t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))
    return float(sample.mean() - reach), float(sample.mean() + reach)


def signed(value: float, digits: int = 2) -> str:
    """Format a number with its sign, such as +0.25 or −0.25, with a real minus sign."""
    rounded = f"{value:+.{digits}f}".replace("-", "−")
    return rounded if float(f"{value:.{digits}f}") else f"{0:.{digits}f}"


def gain(values: Sequence[float] | np.ndarray, digits: int = 2) -> str:
    """Format a mean difference with Student's interval."""
    low, high = student_interval(values)
    ends = f"[{signed(low, digits)}, {signed(high, digits)}]"
    return f"{signed(float(np.mean(values)), digits)} {ends}"


def mean(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    """Format a mean score with Student's interval."""
    low, high = student_interval(values)
    return f"{np.mean(values):.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def paired(found: dict[str, Any]) -> str:
    """Format the gain of a run over its student without a teacher, with its interval over rows."""
    of = found["baseline"]["gain"]["test"]
    low, high = signed(100 * of["low"]), signed(100 * of["high"])
    return f"{signed(100 * of['accuracy'])} [{low}, {high}]"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def speed(race: str, contender: str) -> tuple[str, str, str]:
    """Return the speed-up of a step, its worst and best round, and that of 15 epochs, projected."""
    found = json.loads((RECORDS / f"2026-11-21-bench-{race}" / "record.json").read_text("utf-8"))
    figures, seconds = found["summary"][contender], found["projected_seconds"]
    whole = seconds[contender]["15"] / seconds["ours"]["15"]
    ends = f"[{figures['ratio_low']:.1f}, {figures['ratio_high']:.1f}]"
    return f"{figures['ratio']:.1f}×", ends, f"{whole:.1f}×"


def pairs(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the accuracy in % with a lever and without it, seed by seed. [seeds] each."""
    path = RECORDS / f"2026-11-21-bench-pairs-{name}" / "record.json"
    seeds = json.loads(path.read_text("utf-8"))["raw"].values()
    sides = [[seed[side]["accuracy"] for seed in seeds] for side in ("lever", "reference")]
    return 100 * np.array(sides[0]), 100 * np.array(sides[1])


GROUPED, RANDOM = "2026-11-21-minilm-sst2-grouped", "2026-11-21-minilm-sst2-random"
WIKIQA = "2026-11-22-minilm-wikiqa-tmkd"


def evidence() -> str:
    """Return the README's table."""
    two = ["minilm-2layer-kd", "minilm-2layer-kd-seed2", "minilm-2layer-kd-seed3"]
    leads = [_lead(result(GROUPED, run)) for run in two]
    tkd = scores(WIKIQA, "tkd", "map") - scores(WIKIQA, "one_on_one", "map")
    stage = scores(WIKIQA, "tmkd", "map") - scores(WIKIQA, "mkd", "map")
    kd_step, kd_ends, _ = speed("kd", "textbrewer-dynamic")
    meta_step, meta_ends, _ = speed("metadistil", "double-backward-dynamic")
    rows = [
        ("KD, 2 of 6 layers, SST-2, 3 seeds", "accuracy over no teacher", gain(leads), GROUPED),
        (
            "MetaDistil, 2 of 6 layers, SST-2, 5 seeds",
            "accuracy over KD, 48,000 test rows",
            gain(metadistil_over_kd()),
            "2026-11-21-bench-pairs-mask, -batching",
        ),
        (
            "TMKD's first stage, one teacher, WikiQA, 3 seeds",
            "MAP over no first stage",
            gain(tkd, 1),
            WIKIQA,
        ),
        ("the same, three teachers", "MAP over no first stage", gain(stage, 1), WIKIQA),
        (
            "a KD step on one CPU core",
            "against TextBrewer, dynamic padding",
            f"{kd_step} as fast {kd_ends}",
            "2026-11-21-bench-kd",
        ),
        (
            "a MetaDistil step on one CPU core",
            "against double backward, dynamic padding",
            f"{meta_step} as fast {meta_ends}",
            "2026-11-21-bench-metadistil",
        ),
    ]
    return table(
        ("what", "measured", "result", "record"),
        [(what, how, found, f"`{source}`") for what, how, found, source in rows],
    )


def _lead(found: dict[str, Any]) -> float:
    return _score(found, "accuracy", "student") - _score(found, "accuracy", "baseline")


def metadistil_over_kd() -> np.ndarray:
    """Return MetaDistil minus KD, both with batches of rows of similar length. [seeds]."""
    return pairs("mask")[0] - pairs("batching")[0]


def grouped() -> str:
    """Return the table of SST-2, grouped split, seed 1."""
    rows = [_alone("teacher, 6 layers", result(GROUPED, "minilm-3layer-kd")["teachers"][0])]
    for layers in (3, 2):
        kd = result(GROUPED, f"minilm-{layers}layer-kd")
        meta = result(GROUPED, f"minilm-{layers}layer-metadistil")
        size = kd["student"]["parameters"]
        alone = {**kd["baseline"], "parameters": size}
        rows.append(_alone(f"{layers} layers, fine-tuned", alone))
        rows += [_distilled(f"{layers} layers, `{found['method']}`", found) for found in (kd, meta)]
    columns = ("model", "parameters", "validation (872)", "test (2,000) [95%]")
    return table((*columns, "gain over no teacher [95%, rows]"), rows)


def random_split() -> str:
    """Return the table of SST-2, random split, seed 1."""
    kd, meta = (result(RANDOM, f"minilm-2layer-{name}") for name in ("kd", "metadistil"))
    alone = {**kd["baseline"], "parameters": kd["student"]["parameters"]}
    rows = [
        _alone("teacher, 6 layers", kd["teachers"][0]),
        _alone("2 layers, fine-tuned", alone),
        _distilled("2 layers, `kd`", kd),
        _distilled("2 layers, `metadistil`", meta),
    ]
    columns = ("model", "parameters", "validation (872)", "test (2,000) [95%]")
    return table((*columns, "gain over no teacher [95%, rows]"), rows)


def _alone(name: str, model: dict[str, Any]) -> tuple[str, ...]:
    validation, test = model["metrics"]["validation"], model["metrics"]["test"]
    return (
        name,
        f"{model['parameters']:,}",
        f"{100 * validation['accuracy']:.2f}",
        f"{100 * test['accuracy']:.2f} [{100 * test['low']:.1f}, {100 * test['high']:.1f}]",
        "",
    )


def _distilled(name: str, found: dict[str, Any]) -> tuple[str, ...]:
    size = found["student"]["parameters"]
    return (*_alone(name, {**found, "parameters": size})[:-1], paired(found))


def wikiqa() -> str:
    """Return the table of mean average precision on WikiQA, three seeds."""
    one = scores(WIKIQA, "one_on_one", "map")
    alone = scores(WIKIQA, "one_on_one", "map", of="baseline")
    rows = [("no teacher", mean(alone), "")]
    for run in ("one_on_one", "mkd", "many_on_many", "tmkd", "tkd"):
        found = scores(WIKIQA, run, "map")
        over = "" if run == "one_on_one" else gain(found - one, 1)
        rows.append((f"`{run}`", mean(found), over))
    return table(("3 layers", "MAP", "over `one_on_one`"), rows)


def sst2_4000() -> str:
    """Return the table of SST-2 with 4,000 training rows, three seeds."""
    of = "2026-11-21-minilm-sst2-"
    runs = (
        ("3 layers twice, `mutual`", "mutual", "mutual-twins"),
        ("6 → 2 layers, `assistant` without an assistant", "assistant", "assistant-none"),
        ("6 → 4 → 2 layers, `assistant`", "assistant", "assistant-4"),
        ("five of 6 layers → 3, `kd`", "ensemble5", "ensemble5"),
        ("6 layers, `noisy_student`, third generation", "noisy_student", "noisy"),
        ("the same without noise", "noisy_student", "noisy-without"),
    )
    rows = []
    for name, record, run in runs:
        found = scores(of + record, run, "accuracy")
        alone = scores(of + record, run, "accuracy", of="baseline")
        more = " (500 steps against 126)" if record == "noisy_student" else ""
        rows.append((name, mean(found), gain(found - alone) + more))
    return table(("what", "test", "over the same student without"), rows)


def races() -> str:
    """Return the table of optimiser steps against those of other implementations."""
    rows = [
        ("KD: TextBrewer 0.2.1, padded to 128 as in its examples", "kd", "textbrewer-padded"),
        ("KD: TextBrewer 0.2.1, dynamic padding", "kd", "textbrewer-dynamic"),
        ("KD: `Trainer`, dynamic padding", "kd", "trainer-dynamic"),
        (
            "KD, `training.batching=by_length`: TextBrewer 0.2.1, dynamic padding",
            "kd-by-length",
            "textbrewer-dynamic",
        ),
        ("MetaDistil: double backward, padded to 128", "metadistil", "double-backward-padded"),
        ("MetaDistil: double backward, dynamic padding", "metadistil", "double-backward-dynamic"),
        ("fine-tuning: `Trainer`, dynamic padding", "finetune", "trainer-dynamic"),
        ("fine-tuning: `Trainer`, `group_by_length`", "finetune", "trainer-grouped"),
    ]
    found = [(name, *speed(race, contender)) for name, race, contender in rows]
    return table(
        ("against", "step", "15 epochs"),
        [(name, f"{step} {ends}", whole) for name, step, ends, whole in found],
    )


def levers() -> str:
    """Return the table of what changes of the sampling cost in accuracy."""
    rows = (
        ("MetaDistil's real step keeps the pilot's mask", "`method.real_step_mask=fresh`", "mask"),
        ("`training.batching=by_length`, KD", "`training.batching=random`", "batching"),
        ("`runtime.cheap_dropout=true`, KD", "`runtime.cheap_dropout=false`", "dropout"),
        ("`runtime.precision=bfloat16`, KD", "`runtime.precision=float32`", "bfloat16"),
    )
    found = [
        (what, against, gain(np.subtract(*pairs(name))), f"`2026-11-21-bench-pairs-{name}`")
        for what, against, name in rows
    ]
    return table(("lever", "against", "difference", "record"), found)


TABLES: dict[str, Callable[[], str]] = {
    "evidence": evidence,
    "sst2-grouped": grouped,
    "sst2-random": random_split,
    "wikiqa": wikiqa,
    "sst2-4000": sst2_4000,
    "races": races,
    "levers": levers,
}


def with_tables(text: str) -> str:
    """Return the page with its tables rebuilt from the records."""
    return _MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)


def main() -> None:
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
