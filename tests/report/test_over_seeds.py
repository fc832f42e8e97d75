"""Figures over seeds are computed from the predictions that runs keep."""

from __future__ import annotations

from dataclasses import astuple, replace
from pathlib import Path

import datasets
import numpy as np
import pytest
from support.results import a_baseline, a_result, a_score

from distill_runner.errors import DistillError
from distill_runner.evaluation.metrics.clusters import mean_contributions
from distill_runner.evaluation.metrics.estimate import Estimate, estimate
from distill_runner.evaluation.predictions_file import read_predictions, write_predictions
from distill_runner.report.over_seeds import (
    DifferentRows,
    lead_over_seeds,
    score_over_seeds,
)
from distill_runner.report.seed_table import seed_lines, seed_rows
from distill_runner.results.files import Attempt, Job
from distill_runner.results.schema import RunResult
from distill_runner.tasks.base import Task
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.multi_label import MultiLabel
from distill_runner.tasks.regression import Regression

ROWS, CLASSES = 60, ("no", "yes")
LABELS = np.random.default_rng(0).integers(0, 2, ROWS)
CLUSTERS = np.arange(ROWS) // 3


def table(ids: list[str] | None = None) -> datasets.Dataset:
    return datasets.Dataset.from_dict(
        {
            "id": ids or [f"row-{at}" for at in range(ROWS)],
            "label": LABELS.tolist(),
            "cluster": CLUSTERS.tolist(),
        }
    )


def right_rows(seed: int, share: float) -> np.ndarray:
    return np.random.default_rng(seed).random(ROWS) < share


def a_run(folder: Path, seed: int, *, ours: float = 0.8, theirs: float = 0.7) -> RunResult:
    """The predictions of a student and its baseline, right about these shares of the rows."""
    for place, share, draw in (("", ours, seed), ("baseline", theirs, seed + 50)):
        answers = np.where(right_rows(draw, share), LABELS, 1 - LABELS)
        path = folder / "predictions" / place / "test.csv"
        write_predictions(path, Classification(), table(), np.eye(2)[answers], CLASSES)
    known = a_result()
    scores = {split: a_score(0.8) for split in ("validation", "test")}
    return replace(
        known,
        seed=seed,
        key=folder.name,
        metrics=scores,
        baseline=a_baseline({"test": a_score(0.7)}),
        data=replace(known.data, classes=CLASSES),
        overrides=(f"seed={seed}", *(["force=true"] if ours < 0.5 else [])),
    )


def close(one: Estimate, other: Estimate) -> bool:
    return astuple(one) == pytest.approx(astuple(other))


@pytest.fixture
def runs(tmp_path: Path) -> list[tuple[Path, RunResult]]:
    return [(tmp_path / str(seed), a_run(tmp_path / str(seed), seed)) for seed in (1, 2, 3)]


def test_a_lead_is_that_of_the_rows_paired_by_seed_and_cluster(
    runs: list[tuple[Path, RunResult]],
) -> None:
    leads = np.stack(
        [right_rows(s, 0.8).astype(float) - right_rows(s + 50, 0.7) for s in (1, 2, 3)]
    )
    found = lead_over_seeds(runs, "accuracy")
    assert close(found, estimate(mean_contributions(leads, CLUSTERS)))
    assert (found.seeds, found.clusters) == (3, 20)
    right = np.stack([right_rows(s, 0.8) for s in (1, 2, 3)])
    score = score_over_seeds(runs, "accuracy")
    assert close(score, estimate(mean_contributions(right, CLUSTERS)))


def test_runs_on_other_rows_or_with_other_seeds_are_not_paired(
    runs: list[tuple[Path, RunResult]],
) -> None:
    with pytest.raises(DistillError, match="different seeds"):
        lead_over_seeds(runs, "accuracy", over=runs[::-1])
    others = [f"other-{at}" for at in range(ROWS)]
    path = runs[1][0] / "predictions" / "test.csv"
    write_predictions(path, Classification(), table(others), np.eye(2)[LABELS], CLASSES)
    with pytest.raises(DifferentRows):
        score_over_seeds(runs, "accuracy")


def test_damaged_predictions_are_refused_by_name(runs: list[tuple[Path, RunResult]]) -> None:
    path = runs[0][0] / "predictions" / "test.csv"
    whole = path.read_text()
    no_label, no_number = whole.replace(",yes,", ",maybe,"), whole.replace("row-0,0", "row-0,x")
    for damage in (
        whole.rsplit(",", 1)[0],
        no_label,
        no_number,
        whole.replace("_yes", "_maybe"),
        "",
    ):
        path.write_text(damage)
        with pytest.raises(DistillError, match=r"test\.csv is damaged"):
            score_over_seeds(runs, "accuracy")
    path.unlink()
    with pytest.raises(DistillError, match="is missing"):
        score_over_seeds(runs, "accuracy")


def jobs_of(runs: list[tuple[Path, RunResult]]) -> list[Job]:
    return [
        Job(
            name=folder.name,
            attempt=Attempt(status="finished", overrides=result.overrides),
            result=result,
            folder=folder,
        )
        for folder, result in runs
    ]


def test_the_table_over_seeds_has_intervals_and_adjusted_p_values(
    runs: list[tuple[Path, RunResult]], tmp_path: Path
) -> None:
    bad = [
        (tmp_path / f"bad-{seed}", a_run(tmp_path / f"bad-{seed}", seed, ours=0.4))
        for seed in (1, 2, 3)
    ]
    rows = {row["job"]: row for row in seed_rows(jobs_of([*runs, *bad]))}
    leads = [lead_over_seeds(each, "accuracy") for each in (runs, bad)]
    p_values = [lead.p_value() or 0.0 for lead in leads]
    smaller = 2 * min(p_values)
    adjusted = [max(2 * p, smaller) if p == min(p_values) else max(p, smaller) for p in p_values]
    for name, lead, p in zip(("all seeds", "force=true"), leads, adjusted, strict=True):
        interval = lead.interval()
        assert interval is not None
        ends = f"{100 * interval.low:.2f}..{100 * interval.high:.2f}"
        assert rows[name]["95% of the gain"] == ends
        assert rows[name]["p (Holm)"] == ("<0.001" if p < 0.001 else f"{p:.3f}")


def test_two_seeds_have_a_mean_and_no_interval(runs: list[tuple[Path, RunResult]]) -> None:
    rows = seed_rows(jobs_of(runs[:2]))
    assert rows[0]["95% of the gain"] == "–"
    assert "Below 3 seeds no interval holds its level, so none is given." in seed_lines(rows)


@pytest.mark.parametrize(
    ("task", "labels", "logits", "names"),
    [
        (Classification(), LABELS, np.random.default_rng(1).normal(size=(ROWS, 2)), CLASSES),
        (Regression(), LABELS / 4, np.random.default_rng(1).normal(size=(ROWS, 1)), ("score",)),
        (
            MultiLabel(),
            np.stack([LABELS, 1 - LABELS], axis=1),
            np.random.default_rng(1).normal(size=(ROWS, 2)),
            ("joy", "fear"),
        ),
    ],
)
def test_what_is_written_is_read_back(
    task: Task, labels: np.ndarray, logits: np.ndarray, names: tuple[str, ...], tmp_path: Path
) -> None:
    rows = table().remove_columns("label").add_column("label", labels.astype(np.float32).tolist())
    if isinstance(task, Classification):
        rows = table()
    write_predictions(tmp_path / "test.csv", task, rows, logits, names)
    found = read_predictions(tmp_path / "test.csv", task, names)
    assert found.ids == tuple(rows["id"][:])
    assert (found.clusters == CLUSTERS).all()
    np.testing.assert_allclose(found.labels, labels, rtol=1e-6)
    np.testing.assert_allclose(found.logits, logits, rtol=1e-6)
