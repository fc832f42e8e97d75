"""What result.json says of a student's probabilities holds for the student that is loaded."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from statistics import mean

import numpy as np
import pytest
from support.tiny import SHRUNK

import distill_runner
from distill_runner.results.calibration import ProbabilityScores
from distill_runner.results.files import read_result

ROWS = {"train": 200, "validation": 150, "test": 120}
LEARNT = (*("training.epochs=5", "training.learning_rate=0.03", "training.batch_size=32"),)
TAUGHT = (
    *("method=kd", "teacher=bert+roberta", "teacher.training.epochs=4"),
    *("teacher.training.learning_rate=0.02", "teacher.training.batch_size=32"),
)
ONE, SEVERAL = "classification", "multi_label"


def write_rows(folder: Path) -> None:
    """Files whose rows say `warm` or `dull`, `quick` or `slow`; one label in five is wrong."""
    draw = random.Random(1)
    folder.mkdir()
    for split, count in ROWS.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", ONE, SEVERAL])
            for row in range(count):
                warm, quick = draw.random() < 0.5, draw.random() < 0.5
                words = ["warm" if warm else "dull", "quick" if quick else "slow"]
                text = f"{words[0]} {split} {row} {words[1]}"
                w, q = (is_so != (draw.random() < 0.2) for is_so in (warm, quick))
                several = [name for name, on in {"w": w, "q": q}.items() if on]
                writer.writerow([text, "yes" if w else "no", "|".join(several)])


def train(root: Path, kind: str, *overrides: str, validation: str = "null") -> Path:
    folder = root / f"{kind}-{len(list(root.iterdir()))}"
    data = "multi_label" if kind == SEVERAL else "files"
    distill_runner.run(
        [
            *SHRUNK, *LEARNT, f"dataset={data}", "dataset.generate=0",
            f"dataset.path={root / 'rows'}", "dataset.text=text", f"dataset.label={kind}",
            "dataset.split.train=null", "dataset.split.quiz=0", "dataset.split.test=null",
            f"dataset.split.validation={validation}",
            f"store.dir={root / 'store'}", f"output_dir={folder}", *overrides,
        ],
        show=False,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("calibration")
    write_rows(root / "rows")
    return root


@pytest.fixture(scope="module", params=[ONE, SEVERAL])
def folder(root: Path, request: pytest.FixtureRequest) -> Path:
    soft = ["method.soft_loss=soft_bce"] if request.param == SEVERAL else []
    return train(root, str(request.param), *TAUGHT, *soft)


def rows_of(root: Path, kind: str) -> tuple[list[str], np.ndarray]:
    """The test rows' texts, and of each the truth of every event: of `yes`, or of w and q."""
    with (root / "rows" / "test.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    truth = (
        [[row[kind] == name for name in ("no", "yes")] for row in rows]
        if kind == ONE
        else [[name in row[kind] for name in "qw"] for row in rows]
    )
    return [row["text"] for row in rows], np.array(truth)


def slow_error(shares: list[float], happened: list[bool]) -> float:
    """The calibration error in 15 bins, row by row."""
    bins: dict[int, list[float]] = {}
    for share, so in zip(shares, happened, strict=True):
        smaller = sum(other < share for other in shares)
        bins.setdefault(15 * smaller // len(shares), []).append(so - share)
    return sum(abs(sum(gaps)) for gaps in bins.values()) / len(shares)


def check_scores(found: ProbabilityScores, shares: np.ndarray, truth: np.ndarray) -> None:
    """Compare what result.json says with plain arithmetic on these probabilities."""
    several = bool((shares.sum(axis=1).round(6) != 1).any())
    if several:
        errors = [slow_error(*map(list, pair)) for pair in zip(shares.T, truth.T, strict=True)]
        likelihood = np.log(np.where(truth, shares, 1 - shares)).mean()
        brier = ((shares - truth) ** 2).mean()
    else:
        right = truth[np.arange(len(truth)), shares.argmax(axis=1)]
        errors = [slow_error(shares.max(axis=1).tolist(), right.tolist())]
        likelihood, brier = np.log(shares[truth]).mean(), ((shares - truth) ** 2).sum(axis=1).mean()
    # A share may lie on the other side of a bin's edge in the last digit.
    assert found.ece.value == pytest.approx(mean(errors), abs=2e-3)
    assert found.nll.value == pytest.approx(-likelihood, abs=1e-5)
    assert found.brier.value == pytest.approx(brier, abs=1e-5)


def test_a_loaded_student_has_the_probabilities_that_the_run_judged(
    folder: Path, root: Path
) -> None:
    student = distill_runner.load(folder)
    texts, truth = rows_of(root, student.result.data.task)
    assert student.result.calibration is not None
    found = student.result.calibration.student
    judged = found.splits["test"]
    assert judged.after is not None
    assert student.temperatures == found.values
    check_scores(judged.before, student.predict_proba(texts, calibrated=False), truth)
    check_scores(judged.after, student.predict_proba(texts), truth)
    assert not np.allclose(student.predict_proba(texts, calibrated=False), truth)


def test_a_temperature_changes_no_prediction(folder: Path, root: Path) -> None:
    student = distill_runner.load(folder)
    texts, _ = rows_of(root, student.result.data.task)
    scaled, given = student.predict_proba(texts), student.predict_proba(texts, calibrated=False)
    assert not np.allclose(scaled, given, atol=1e-3)
    if student.result.data.task == ONE:
        assert (scaled.argmax(axis=1) == given.argmax(axis=1)).all()
    else:
        assert ((scaled > 0.5) == (given > 0.5)).all()
        assert len(set(student.temperatures)) == 2


def test_every_model_has_temperatures_of_its_own(folder: Path, root: Path) -> None:
    student = distill_runner.load(folder)
    found = student.result.calibration
    assert found is not None
    assert found.validation_rows == ROWS["validation"]
    teachers = [f"teacher {name}" for name in student.teachers]
    assert list(found.models) == [*teachers, "teachers together", "no teacher", "student"]
    texts, truth = rows_of(root, student.result.data.task)
    for name, teacher in student.teachers.items():
        after = found.models[f"teacher {name}"].splits["test"].after
        assert after is not None
        check_scores(after, teacher.predict_proba(texts), truth)


def test_the_card_and_the_screen_show_what_the_result_holds(folder: Path) -> None:
    found = read_result(folder).calibration
    assert found is not None
    judged = found.student.splits["test"]
    assert judged.after is not None
    change = f"{100 * judged.before.ece.value:.2f} → {100 * judged.after.ece.value:.2f}"
    card = (folder / "student" / "README.md").read_text(encoding="utf-8")
    (row,) = [line for line in card.splitlines() if line.startswith("| student | test |")]
    assert change in row
    assert all(f"{one.value:.4g}" in card for one in found.student.temperatures)
    log = (folder / "log.txt").read_text(encoding="utf-8")
    assert change in log
    assert "before → after temperature scaling" in log


def test_without_validation_rows_probabilities_stay_as_they_are(root: Path) -> None:
    folder = train(root, ONE, "method=finetune", validation="0")
    student = distill_runner.load(folder)
    assert student.temperatures == (1.0,)
    texts, truth = rows_of(root, ONE)
    shares = student.predict_proba(texts)
    assert (shares == student.predict_proba(texts, calibrated=False)).all()
    assert student.result.calibration is not None
    judged = student.result.calibration.student.splits["test"]
    check_scores(judged.before, shares, truth)
    assert judged.after is None
    log = (folder / "log.txt").read_text(encoding="utf-8")
    assert "No T for any model: there are no validation rows." in log


def test_validation_that_chose_the_epoch_still_fits_the_temperature(root: Path) -> None:
    folder = train(root, ONE, "method=finetune", "training.select=best_validation")
    result = read_result(folder)
    assert "validation" not in result.metrics
    assert result.calibration is not None
    assert result.calibration.student.fitted
    assert list(result.calibration.student.splits) == ["test"]
