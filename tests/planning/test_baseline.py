"""The student without a teacher is the deployed model, trained for no fewer steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tiny import Bench, planned, run, shrunk

from distill_runner.errors import DistillError, Refused
from distill_runner.methods.base import NothingToLearn, OfferedRows, RowChoice
from distill_runner.methods.noisy_student import NoisyStudent
from distill_runner.report.sweeps import job_rows
from distill_runner.results.files import read_job
from distill_runner.training.loop import Loop

OWN = 16  # 64 rows in batches of 8, twice


def result_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def screen_of(folder: Path) -> str:
    """What was printed, on one line."""
    return " ".join((folder / "log.txt").read_text().split())


# By what is asked: the optimiser steps of the deployed learner, all its stages together.
STEPS = {
    "kd": ("kd", (), 16),
    "a warm start": ("kd", ("method.warm_start_epochs=1",), 8 + 16),
    "a warm start of some rows": ("kd", ("method.warm_start_epochs=1", "training.max_steps=5"), 10),
    "the quiz rows too": ("kd", ("method.with_quiz_rows=true",), 20),
    "tmkd": ("tmkd", (), 8 + 16),
    "distilbert": ("distilbert", ("teacher=bert", "method.pretrain_epochs=3"), 24 + 16),
    "assistants": ("assistant", (), 16),
    "born again": ("born_again", ("method.generations=2",), 16),
    "mutual": ("mutual", (), 16),
    "a student for each teacher": ("many_on_many", (), 16),
    # 64 labelled rows and all 20 of the pool.
    "a noisy student": ("noisy_student", ("method.generations=1",), 22),
}


@pytest.mark.parametrize("asked", STEPS)
def test_it_makes_as_many_steps_as_the_deployed_learner(
    asked: str, store: Path, tmp_path: Path
) -> None:
    method, overrides, steps = STEPS[asked]
    run(tmp_path, store, method, *overrides)
    result = result_of(tmp_path)
    limit = 5 if "training.max_steps=5" in overrides else 1000
    assert result["student"]["steps"] == steps
    assert result["baseline"]["steps"] == min(max(steps, OWN), limit)
    assert result["baseline"]["fewer_steps"] == (limit < steps)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    made = [line["step"] for line in lines if line["stage"] == "baseline"]
    assert max(made) == result["baseline"]["steps"]


def test_its_learning_rate_falls_over_all_of_its_steps(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "kd", "teacher=bert", "method.warm_start_epochs=2")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    rates = {
        line["step"]: line["student/learning_rate"]
        for line in lines
        if line["stage"] == "baseline" and "student/learning_rate" in line
    }
    assert max(rates) == 32
    assert rates[16] > 0.4 * max(rates.values())
    assert rates[32] < 0.1 * max(rates.values())


def key_of_baseline(store: Path, method: str, *overrides: str) -> str:
    bench = Bench.make(store, method, ("teacher=bert", *overrides))
    (stage,) = [stage for stage in bench.runner.preflight().missing if stage.name == "baseline"]
    return str(bench.runner.key_of(stage))


def test_methods_whose_learners_make_as_many_steps_share_one_baseline(tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, "finetune")
    alone = bench.runner.key_of(bench.plan.stages[0])
    assert key_of_baseline(tmp_path, "kd") == alone
    assert key_of_baseline(tmp_path, "kd", "method.temperature=7") == alone
    assert key_of_baseline(tmp_path, "assistant") == alone
    longer = key_of_baseline(tmp_path, "kd", "method.warm_start_epochs=1")
    assert longer != alone
    # Whole passes more are a plain fine-tuning of so many epochs.
    three = Bench.make(tmp_path, "finetune", ("training.epochs=3",))
    assert longer == three.runner.key_of(three.plan.stages[0])
    asked = ("method.warm_start_epochs=1", "evaluation.baseline_steps=epochs")
    assert key_of_baseline(tmp_path, "kd", *asked) == alone


def test_a_lead_over_fewer_steps_is_never_called_a_gain(store: Path, tmp_path: Path) -> None:
    asked = ("teacher=bert", "method.warm_start_epochs=1")
    run(tmp_path / "same", store, "kd", *asked)
    assert "gain on test" in screen_of(tmp_path / "same").lower()
    run(tmp_path / "fewer", store, "kd", *asked, "evaluation.baseline_steps=epochs")
    screen = screen_of(tmp_path / "fewer")
    assert "difference on test" in screen
    assert "fine-tuned without a teacher for 16 of 24 steps" in screen
    assert "gain" not in screen.lower()
    rows = job_rows([read_job(tmp_path / name) for name in ("same", "fewer")])
    assert all("difference" in row and "gain" not in row for row in rows)
    card = (tmp_path / "fewer" / "student" / "README.md").read_text().splitlines()
    (alone,) = [line for line in card if "without a teacher" in line and "| test |" in line]
    (ours,) = [line for line in card if "this student" in line and "| test |" in line]
    assert alone.split(" | ")[2] == "16"
    assert ours.split(" | ")[2] == "24"


def test_the_plan_and_the_table_name_both_numbers_of_steps(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "tmkd")
    screen = (tmp_path / "log.txt").read_text()
    plan = screen.split("cost in rows read")[0]
    table = screen.split("test [95%]")[1].split("Parameters:")[0]
    of = {line.split()[0]: line.split() for line in plan.splitlines() if line.strip()}
    assert "24" in of["baseline"]
    assert "8" in of["pretrain"]
    assert "16" in of["finetune"]
    rows = [line.split() for line in table.splitlines() if "distilbert" in line]
    assert all("24" in row for row in rows)


def test_the_plan_says_what_a_teacher_decides_later(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "noisy_student", "method.generations=1")
    screen = screen_of(tmp_path)
    assert screen.count("≤ 22") == 2
    assert "baseline: as many steps as generation-1 made, or its own if they are more" in screen
    assert "22 steps; generation-1 has made 22" in screen


def test_the_epoch_that_is_best_on_validation_can_be_kept_and_is_then_no_result(
    store: Path, tmp_path: Path
) -> None:
    run(tmp_path, store, "kd", "teacher=bert", "evaluation.baseline_steps=best_epoch")
    result = result_of(tmp_path)
    baseline = result["baseline"]
    assert baseline["selection"] == "best_validation"
    assert set(baseline["metrics"]) == {"test", "selection_on_validation"}
    assert set(baseline["gain"]) == {"test"}
    assert set(result["metrics"]) == {"validation", "test"}
    asked = ("evaluation.baseline_steps=best_epoch", "dataset.split.validation=0")
    with pytest.raises(Refused) as refused:
        planned(shrunk(store, "method=kd", *asked))
    assert refused.value.key == "evaluation.baseline_steps"


GROWING = "method.generations=[{model: distilbert-base-uncased}, {model: bert-base-uncased}]"


@pytest.mark.parametrize(
    ("scores", "kept"), [((0.6, 0.5), "distilbert-base-uncased"), ((0.5, 0.6), "bert-base-uncased")]
)
def test_of_growing_generations_it_is_the_model_that_is_kept(
    scores: tuple[float, float], kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench.make(tmp_path, "noisy_student", (GROWING, "student=tinybert"))
    by_name = {f"generation-{at + 1}": score for at, score in enumerate(scores)}
    monkeypatch.setattr(bench.runner._chains, "_on_validation", by_name.__getitem__)
    assert bench.plan.stages[-1].name == "baseline"
    outcome = bench.runner.run()
    assert outcome.plan.stage("baseline").learner.id == kept
    facts = outcome.artifacts["baseline"].facts()
    deployed = outcome.artifacts[outcome.plan.deployed].facts()
    assert facts["parameters"] == deployed["parameters"]
    assert facts["training"]["steps"] == deployed["training"]["steps"]


def test_of_growing_generations_that_all_take_place_it_is_the_last_ones_model(
    store: Path, tmp_path: Path
) -> None:
    run(tmp_path, store, "noisy_student", GROWING, "student=tinybert", "method.stop=false")
    result = result_of(tmp_path)
    assert result["student"]["name"] == "bert-base-uncased"
    assert result["baseline"]["parameters"] == result["student"]["parameters"]


def test_two_processes_train_the_same_late_baseline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("distill_runner.pipeline.stage_workers.cores", lambda: 2)
    asked = ("teacher=bert+roberta", GROWING)
    run(tmp_path / "one", tmp_path / "store-1", "noisy_student", *asked)
    run(tmp_path / "two", tmp_path / "store-2", "noisy_student", *asked, "runtime.processes=2")
    one, two = result_of(tmp_path / "one"), result_of(tmp_path / "two")
    keys = [{name: stage["key"] for name, stage in run["stages"].items()} for run in (one, two)]
    assert keys[0] == keys[1]
    assert one["baseline"]["metrics"] == two["baseline"]["metrics"]


def test_an_interrupted_late_baseline_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Loop.step

    def broken(self: Loop, *at: Any) -> None:
        if self.job.folder.parent.parent == tmp_path / "broken" and self.total == 22:
            is_baseline = not self.job.algorithm.needs.pool
            if is_baseline and self.progress.step == 13:
                raise RuntimeError("broken off")
        step(self, *at)

    asked = ("teacher=bert", "method.generations=1", "runtime.checkpoint_seconds=0.001")
    run(tmp_path / "run-1", tmp_path / "whole", "noisy_student", *asked)
    with monkeypatch.context() as patch:
        patch.setattr(Loop, "step", broken)
        with pytest.raises(DistillError, match="broken off"):
            run(tmp_path / "run-2", tmp_path / "broken", "noisy_student", *asked)
    run(tmp_path / "run-2", tmp_path / "broken", "noisy_student", *asked)
    assert "baseline: resumes after step 1" in screen_of(tmp_path / "run-2")
    key = result_of(tmp_path / "run-1")["stages"]["baseline"]["key"]
    weights = [
        (tmp_path / name / "stages" / key / "model" / "model.safetensors").read_bytes()
        for name in ("whole", "broken")
    ]
    assert weights[0] == weights[1]


@pytest.fixture
def unsure(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Names of teachers that are sure of nothing."""
    names: list[str] = []
    rows = NoisyStudent.rows

    def chosen(self: NoisyStudent, offered: OfferedRows) -> RowChoice:
        if offered.teacher in names:
            raise NothingToLearn(f"{offered.teacher} is sure of no row of the pool.")
        return rows(self, offered)

    monkeypatch.setattr(NoisyStudent, "rows", chosen)
    return names


@pytest.mark.parametrize("stop", ["true", "false"])
def test_a_chain_that_cannot_continue_ends_with_the_last_good_generation(
    stop: str, tmp_path: Path, unsure: list[str]
) -> None:
    unsure.append("generation-1")
    # A store of its own: a shared one may hold the second generation of a sure teacher.
    own_store = tmp_path.with_name(f"{tmp_path.name}-store")
    run(tmp_path, own_store, "noisy_student", "teacher=bert", f"method.stop={stop}")
    result, screen = result_of(tmp_path), screen_of(tmp_path)
    assert result["status"] == "finished"
    assert result["broken_off"] == {
        "before": "generation-2",
        "because": "generation-1 is sure of no row of the pool.",
        "kept": "generation-1",
    }
    told = "THE CHAIN ENDED before generation-2: generation-1 is sure of no row of the pool."
    assert told in screen
    assert told in (tmp_path / "student" / "README.md").read_text()
    assert "generation-2" not in result["stages"]
    assert "validation" in result["metrics"]  # it chose nothing
    assert result["baseline"]["steps"] == result["student"]["steps"]


def test_a_first_generation_that_has_nothing_to_learn_is_refused(
    store: Path, tmp_path: Path, unsure: list[str]
) -> None:
    unsure.append("bert-base-uncased")
    with pytest.raises(NothingToLearn):
        run(tmp_path, store, "noisy_student", "teacher=bert", "seed=9")
