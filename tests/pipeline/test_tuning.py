"""Student and baseline get the same trials, and validation chooses for each by itself."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from support.tiny import run

from distill_runner.errors import DistillError
from distill_runner.report.tuning import tuning_line
from distill_runner.results.files import read_result
from distill_runner.results.schema import RunResult
from distill_runner.training.loop import Loop

RATES, EPOCHS = ("0.01", "0.02"), ("3", "4")
GRID = (f"tune.learning_rates=[{','.join(RATES)}]", f"tune.epochs=[{','.join(EPOCHS)}]")
CELLS = list(product(RATES, EPOCHS))
# So many rows that the trials differ on validation.
ROWS = ("teacher=bert", "dataset.generate=400", "dataset.split.train=160")
FEW_STEPS = ("teacher=bert", "training.max_steps=3")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def tuned(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tuned")
    run(folder, store, "kd", *ROWS, *GRID, "tracker=jsonl")
    return folder


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The runs of each cell by itself, in a store that the tuned run does not know."""
    root = tmp_path_factory.mktemp("alone")
    folders = []
    for rate, epochs in CELLS:
        folders.append(root / f"{rate}-{epochs}")
        asked = (f"training.learning_rate={rate}", f"training.epochs={epochs}")
        run(folders[-1], root / "store", "kd", *ROWS, *asked)
    return folders


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def screen_of(folder: Path) -> str:
    """What was printed, on one line."""
    return " ".join((folder / "log.txt").read_text().split())


def weights_of(result: RunResult, name: str, store: Path) -> bytes:
    model = store / "stages" / result.stages[name].key / "model"
    return (model / "model.safetensors").read_bytes()


def validation_of(result: RunResult) -> tuple[float, float]:
    """The accuracy of the student and of the student without a teacher."""
    assert result.baseline is not None
    scores = result.metrics["validation"], result.baseline.metrics["validation"]
    return scores[0]["accuracy"], scores[1]["accuracy"]


def test_both_get_every_pair_of_values_and_score_as_in_a_run_of_that_pair(
    tuned: Path, alone: list[Path]
) -> None:
    tuning = read_result(tuned).tuning
    assert tuning is not None
    cells = [(trial.learning_rate, trial.epochs) for trial in tuning.trials]
    assert cells == [(float(rate), int(epochs)) for rate, epochs in CELLS]
    scores = [(trial.student, trial.baseline) for trial in tuning.trials]
    assert scores == [validation_of(read_result(folder)) for folder in alone]
    assert len(set(scores)) > 1  # else any choice would be the best


def test_each_keeps_the_weights_of_the_trial_that_is_best_for_it(
    tuned: Path, alone: list[Path], store: Path
) -> None:
    result = read_result(tuned)
    runs = [read_result(folder) for folder in alone]
    apart = alone[0].parent / "store"
    assert result.tuning is not None
    chosen = {"kd": result.tuning.student, "baseline": result.tuning.baseline}
    for at, (name, position) in enumerate(chosen.items()):
        scores = [validation_of(one)[at] for one in runs]
        best = scores.index(max(scores))
        assert position == best
        assert weights_of(result, name, store) == weights_of(runs[best], name, apart)
    deployed = (tuned / "student" / "model.safetensors").read_bytes()
    assert deployed == weights_of(runs[chosen["kd"]], "kd", apart)


def test_the_first_of_equal_trials_is_kept(store: Path, tmp_path: Path) -> None:
    # One step at such rates changes no prediction.
    asked = ("teacher=bert", "training.max_steps=1", "tune.learning_rates=[2e-9,1e-9]")
    run(tmp_path, store, "kd", *asked)
    tuning = result_of(tmp_path)["tuning"]
    assert len({trial["student"] for trial in tuning["trials"]}) == 1
    assert (tuning["student"], tuning["baseline"]) == (0, 0)


def test_validation_that_chose_is_no_result_of_any_model(tuned: Path) -> None:
    result = read_result(tuned)
    assert result.tuning is not None
    assert result.baseline is not None
    assert set(result.metrics) == {"test", "selection_on_validation"}
    assert set(result.baseline.metrics) == {"test", "selection_on_validation"}
    assert set(result.baseline.gain) == set(result.agreement) == {"test"}
    assert set(result.teachers[0].metrics) == {"test"}
    kept = result.tuning.trials[result.tuning.student].student
    assert result.metrics["selection_on_validation"]["accuracy"] == kept
    assert result.tuning.baseline is not None
    alone = result.tuning.trials[result.tuning.baseline].baseline
    assert result.baseline.metrics["selection_on_validation"]["accuracy"] == alone


def test_the_screen_and_the_card_name_the_trials_and_both_choices(tuned: Path) -> None:
    result, screen = read_result(tuned), screen_of(tuned)
    assert result.tuning is not None
    line = tuning_line(result)
    assert line is not None
    trials = "the same 4 trials for both (learning rates 0.01, 0.02; epochs 3, 4)"
    rate, epochs = CELLS[result.tuning.student]
    assert line.startswith(f"Tuned on validation, {trials}: kd {rate}, {epochs} epochs; no teacher")
    assert line in screen
    assert line in (tuned / "student" / "README.md").read_text()
    assert "tuning: 4 trials (learning rates 0.01, 0.02; epochs 3, 4)" in screen
    for number, trial in enumerate(result.tuning.trials, start=1):
        title = f"trial {number} of 4, {trial.learning_rate:g}, {trial.epochs} epochs"
        scores = f"kd {100 * trial.student:.2f}, no teacher {100 * (trial.baseline or 0):.2f}"
        assert f"{title}: on validation {scores}" in screen


def test_the_run_folder_has_the_stages_that_are_kept_and_only_their_curves(tuned: Path) -> None:
    result = read_result(tuned)
    assert result.tuning is not None
    assert result.tuning.baseline is not None
    stages = {
        stage["name"]: stage["training"]
        for stage in json.loads((tuned / "plan.json").read_text())["stages"]
    }
    for name, position in (("kd", result.tuning.student), ("baseline", result.tuning.baseline)):
        rate, epochs = CELLS[position]
        assert stages[name]["learning_rate"] == float(rate)
        assert stages[name]["epochs"] == int(epochs)
    assert result.baseline is not None
    made = result.student.steps + result.baseline.steps + result.teachers[0].steps
    lines = [json.loads(line) for line in (tuned / "tracker.jsonl").read_text().splitlines()]
    points = [line["step"] for line in lines if "step" in line]
    assert made - 2 < max(points) <= made  # a point every two steps
    assert all(stage.trained_now for stage in result.stages.values())


def test_the_same_command_finds_everything_in_the_store(
    tuned: Path, store: Path, tmp_path: Path
) -> None:
    run(tmp_path, store, "kd", *ROWS, *GRID)
    again, first = read_result(tmp_path), read_result(tuned)
    assert not any(stage.trained_now for stage in again.stages.values())
    assert (again.key, again.tuning, again.metrics) == (first.key, first.tuning, first.metrics)


def test_force_repeats_the_trials_and_keeps_the_teacher(store: Path, tmp_path: Path) -> None:
    asked = (*FEW_STEPS, "tune.learning_rates=[0.01,0.02]")
    run(tmp_path / "first", store, "kd", *asked)
    run(tmp_path / "again", store, "kd", *asked, "force=true")
    first, again = read_result(tmp_path / "first"), read_result(tmp_path / "again")
    trained = {name for name, stage in again.stages.items() if stage.trained_now}
    assert trained == {"baseline", "kd"}
    assert (again.tuning, again.metrics) == (first.tuning, first.metrics)


def test_an_interrupted_trial_resumes_to_the_same_result(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (*FEW_STEPS, "tune.epochs=[1,2]", "runtime.checkpoint_seconds=0.0001")
    step = Loop.step

    def broken(self: Loop, *at: Any) -> None:
        if self.job.training.epochs == 2 and self.progress.step == 2:
            raise RuntimeError("broken off")
        step(self, *at)

    with monkeypatch.context() as patch:
        patch.setattr(Loop, "step", broken)
        with pytest.raises(DistillError, match="broken off"):
            run(tmp_path / "run", tmp_path / "store", "kd", *asked)
    run(tmp_path / "run", tmp_path / "store", "kd", *asked)
    screen = screen_of(tmp_path / "run")
    assert "baseline: resumes after step 2" in screen
    run(tmp_path / "whole", store, "kd", *asked)
    resumed, whole = read_result(tmp_path / "run"), read_result(tmp_path / "whole")
    assert (resumed.key, resumed.tuning) == (whole.key, whole.tuning)
    for name in ("kd", "baseline"):
        assert weights_of(resumed, name, tmp_path / "store") == weights_of(whole, name, store)


def test_trials_share_a_warm_start_and_the_baseline_makes_its_steps_too(
    store: Path, tmp_path: Path
) -> None:
    warm = ("teacher=bert", "method.warm_start_epochs=1")
    run(tmp_path / "tuned", store, "kd", *warm, "tune.epochs=[1,2]", "training.learning_rate=5e-4")
    run(tmp_path / "plain", store, "kd", *warm, "training.epochs=1", "training.learning_rate=5e-4")
    tuned, plain = read_result(tmp_path / "tuned"), read_result(tmp_path / "plain")
    assert tuned.stages["warm_start"].key == plain.stages["warm_start"].key
    assert tuned.tuning is not None
    assert tuned.baseline is not None
    steps = [8 * (1 + trial.epochs) for trial in tuned.tuning.trials if trial.epochs]
    assert tuned.student.steps == steps[tuned.tuning.student]
    assert tuned.baseline.steps == steps[tuned.tuning.baseline or 0]
    first = tuned.tuning.trials[0]
    assert (first.student, first.baseline) == validation_of(plain)


def test_without_a_baseline_the_student_alone_is_tuned(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "finetune", "training.max_steps=2", "tune.learning_rates=[1e-3,1e-2]")
    result = read_result(tmp_path)
    assert result.tuning is not None
    assert result.tuning.baseline is None
    assert [trial.baseline for trial in result.tuning.trials] == [None, None]
    line = f"2 trials (learning rates 0.001, 0.01): finetune {(0.001, 0.01)[result.tuning.student]}"
    assert f"Tuned on validation, {line}." in screen_of(tmp_path)


def test_one_value_is_a_setting_and_no_trial(store: Path, tmp_path: Path) -> None:
    run(tmp_path / "one", store, "kd", *FEW_STEPS, "tune.learning_rates=[0.01]", "tune.epochs=[3]")
    set_by_hand = ("training.learning_rate=0.01", "training.epochs=3")
    run(tmp_path / "plain", store, "kd", *FEW_STEPS, *set_by_hand)
    one, plain = read_result(tmp_path / "one"), read_result(tmp_path / "plain")
    assert one.tuning is None
    assert (one.key, one.metrics) == (plain.key, plain.metrics)
    assert "validation" in one.metrics
    assert "tuning" not in screen_of(tmp_path / "one")
