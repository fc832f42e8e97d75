"""Writes the tables of README and docs from the records: python docs/tools/tables.py

A page holds a table between two markers, `<!-- table NAME -->` and `<!-- end -->`. Every figure
is computed here from the predictions and results under outputs/records.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from formats import RECORDS, ROOT, Runs, adjusted, lead, lead_over, runs, score, table

from distill_runner.evaluation.metrics.estimate import Estimate
from distill_runner.evaluation.predictions_file import BASELINE
from distill_runner.report.over_seeds import lead_over_seeds, score_over_seeds
from distill_runner.results.schema import RunResult

PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_MARKED = re.compile(r"(<!-- table ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SST2, WIKIQA = "2026-11-26-minilm-sst2", "2026-11-26-minilm-wikiqa-tmkd"
FUSED = "2026-11-26-minilm-sst2-fused-attention"
MARGIN = 0.003  # of accuracy, within which two settings count as equal
COVERAGE = "2026-11-26-bench-coverage"
_TEACHER = "teachers/all-MiniLM-L6-v2"


def speed(race: str, contender: str) -> tuple[str, str, str]:
    """Return the speed-up of a step, its worst and best round, and that of 15 epochs, projected."""
    found = json.loads((RECORDS / f"2026-11-21-bench-{race}" / "record.json").read_text("utf-8"))
    figures, seconds = found["summary"][contender], found["projected_seconds"]
    whole = seconds[contender]["15"] / seconds["ours"]["15"]
    ends = f"[{figures['ratio_low']:.1f}, {figures['ratio_high']:.1f}]"
    return f"{figures['ratio']:.1f}×", ends, f"{whole:.1f}×"


def evidence() -> str:
    """Return the README's table."""
    kd, meta = runs(SST2, "kd"), runs(SST2, "metadistil")
    first = [(name, _first_stage(*pair)) for name, pair in _STAGE_1.items()]
    leads = [lead_over_seeds(kd, "accuracy"), lead_over(meta, kd), *(found for _, found in first)]
    what = [
        ("KD, 2 of 6 layers, SST-2", "accuracy over no teacher", SST2, 2),
        ("MetaDistil, 2 of 6 layers, SST-2", "accuracy over KD", SST2, 2),
        *((f"TMKD's first stage, {name}, WikiQA", "MAP over none", WIKIQA, 1) for name, _ in first),
    ]
    rows = [
        (f"{name}, {found.seeds} seeds", how, f"{lead(found, digits)}, p {p}", f"`{source}`")
        for (name, how, source, digits), found, p in zip(what, leads, adjusted(leads), strict=True)
    ]
    for name, race, contender, against in (
        ("KD", "kd", "textbrewer-dynamic", "TextBrewer"),
        ("MetaDistil", "metadistil", "double-backward-dynamic", "double backward"),
    ):
        step, ends, _ = speed(race, contender)
        how = f"against {against}, dynamic padding"
        record = f"`2026-11-21-bench-{race}`"
        rows.append((f"a {name} step on one CPU core", how, f"{step} as fast {ends}", record))
    return table(("what", "measured", "result", "record"), rows)


_STAGE_1 = {"one teacher": ("tkd", "one_on_one"), "three teachers": ("tmkd", "mkd")}


def _first_stage(with_it: str, without: str) -> Estimate:
    return lead_over(runs(WIKIQA, with_it), runs(WIKIQA, without), "map")


def sst2() -> str:
    """Return the table of SST-2: test rows, the official rows, and leads with adjusted p-values."""
    kd, meta = runs(SST2, "kd"), runs(SST2, "metadistil")
    leads = [lead_over_seeds(kd, "accuracy"), lead_over(meta, kd)]
    beside = [f"{lead(found)}, p {p}" for found, p in zip(leads, adjusted(leads), strict=True)]
    rows = [
        ("teacher, 6 layers", kd, _TEACHER, "", ""),
        ("2 layers, fine-tuned", kd, BASELINE, "", ""),
        ("2 layers, `kd`", kd, "", beside[0], ""),
        ("2 layers, `metadistil`", meta, "", "", beside[1]),
    ]
    columns = ("model", "parameters", "test (6,000)", "official validation (872)")
    return table(
        (*columns, "over fine-tuning", "over `kd`"),
        [
            (
                name,
                f"{_parameters(found[0][1], model):,}",
                *(
                    score(score_over_seeds(found, "accuracy", model=model, split=split))
                    for split in ("test", "validation")
                ),
                *leads_of,
            )
            for name, found, model, *leads_of in rows
        ],
    )


def _parameters(result: RunResult, model: str) -> int:
    return result.teachers[0].parameters if model == _TEACHER else result.student.parameters


def calibration() -> str:
    """Return how far probabilities can be trusted before and after scaling, means over seeds."""
    kd, meta = runs(SST2, "kd"), runs(SST2, "metadistil")
    rows = [
        ("teacher, 6 layers", kd, "teacher all-MiniLM-L6-v2"),
        ("2 layers, fine-tuned", kd, "no teacher"),
        ("2 layers, `kd`", kd, "student"),
        ("2 layers, `metadistil`", meta, "student"),
    ]
    columns = ("model", "T", "ECE, %", "Brier score", "NLL")
    return table(columns, [(name, *_calibrated(found, model)) for name, found, model in rows])


def _calibrated(found: Runs, model: str) -> list[str]:
    """Return the mean temperature and the mean scores on test, before → after scaling."""
    models = [result.calibration.models[model] for _, result in found if result.calibration]
    tests = [one.splits["test"] for one in models]
    after = [one.after for one in tests if one.after is not None]
    assert len(after) == len(found)  # every model of every seed was scaled
    before = [one.before for one in tests]

    def both(name: str, factor: int, digits: int) -> str:
        means = [
            factor * sum(getattr(one, name).value for one in side) / len(side)
            for side in (before, after)
        ]
        return " → ".join(f"{mean:.{digits}f}" for mean in means)

    mean = sum(one.values[0] for one in models) / len(models)
    return [f"{mean:.2f}", both("ece", 100, 2), both("brier", 1, 3), both("nll", 1, 3)]


def wikiqa() -> str:
    """Return the table of mean average precision on WikiQA, over seeds and questions."""
    one = runs(WIKIQA, "one_on_one")
    alone = score_over_seeds(one, "map", model=BASELINE)
    others = ("mkd", "tmkd", "tkd")
    leads = [lead_over(runs(WIKIQA, name), one, "map") for name in others]
    beside = dict(zip(others, zip(leads, adjusted(leads), strict=True), strict=True))
    rows = [("no teacher", score(alone), "", "")]
    for name in ("one_on_one", *others):
        found, p = beside.get(name, (None, ""))
        mean = score(score_over_seeds(runs(WIKIQA, name), "map"))
        rows.append((f"`{name}`", mean, lead(found, 1) if found else "", p))
    return table(("3 layers", "MAP", "over `one_on_one`", "p (Holm)"), rows)


def coverage() -> str:
    """Return how often intervals held the true gain of generated data, by seeds and estimator."""
    found = json.loads((RECORDS / COVERAGE / "record.json").read_text("utf-8"))["raw"]
    names = [name for name in found[0] if name not in ("seeds", "clusters", "deviation")]
    rows = []
    for seeds in sorted({case["seeds"] for case in found}):
        of_seeds = [case for case in found if case["seeds"] == seeds]
        shares = [[100 * case[name] for case in of_seeds] for name in names]
        rows.append([str(seeds), *(f"{min(each):.1f} to {max(each):.1f}" for each in shares)])
    return table(("seeds", *names), rows)


def levers() -> str:
    """Return what a change of rounding or of masks costs in accuracy, over seeds and clusters."""
    found = lead_over(runs(SST2, "metadistil"), runs(FUSED, "fused-attention"))
    equal = "yes" if found.is_within(MARGIN) else "not shown"
    what = "plain attention where a bfloat16 gradient is wanted, `metadistil`, SST-2"
    row = (what, str(found.seeds), lead(found), equal)
    return table(("change", "seeds", "accuracy", "equal within 0.3 points"), [row])


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


TABLES: dict[str, Callable[[], str]] = {
    "evidence": evidence,
    "sst2": sst2,
    "calibration": calibration,
    "wikiqa": wikiqa,
    "coverage": coverage,
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
