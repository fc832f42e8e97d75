"""Accuracy under noise: the same disturbed text for every model, and honest figures of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.tiny import Bench, composed, planned, run

from distill_runner.config.schema import NoiseKind
from distill_runner.console.screen import terminal
from distill_runner.data import views
from distill_runner.errors import Refused
from distill_runner.evaluation import robustness
from distill_runner.pipeline.logit_cache import LogitCache
from distill_runner.report.card import model_card
from distill_runner.report.robustness import robustness_table
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import from_json

KINDS = ["replace_word", "mask", "delete", "swap"]
ASKED = ("teacher=bert+roberta", "evaluation.robustness=[0,0.5]")


@pytest.fixture(scope="module")
def folder(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("run")
    run(made, store, "noisy_student", "method.generations=2", "method.stop=false", *ASKED)
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> dict:
    return json.loads((folder / "result.json").read_text())


def test_every_model_is_read_under_every_noise(result: dict) -> None:
    found = result["robustness"]
    assert found["models"] == [
        "teacher bert-base-uncased",
        "teacher roberta-base",
        "teachers together",
        "generation-1",
        "no teacher",
        "student",
    ]
    assert [(score["noise"], score["p"]) for score in found["scores"]] == [
        ("none", 0),
        *((kind, p) for kind in KINDS for p in (0, 0.5)),
    ]
    assert found["rows"] == 60
    for score in found["scores"]:
        assert list(score["accuracy"]) == found["models"]


def test_without_noise_it_is_the_clean_accuracy(result: dict) -> None:
    clean = {
        "teacher bert-base-uncased": result["teachers"][0]["metrics"],
        "teacher roberta-base": result["teachers"][1]["metrics"],
        "teachers together": result["together"]["metrics"],
        "generation-1": result["between"][0]["metrics"],
        "no teacher": result["baseline"]["metrics"],
        "student": result["metrics"],
    }
    expected = {name: metrics["test"]["accuracy"] for name, metrics in clean.items()}
    unhurt = [score for score in result["robustness"]["scores"] if score["p"] == 0]
    assert len(unhurt) == 5
    assert all(score["accuracy"] == pytest.approx(expected) for score in unhurt)
    assert len({json.dumps(score["difference"]) for score in unhurt}) == 1


def test_the_lead_over_the_teachers_is_the_difference_with_its_paired_interval() -> None:
    labels = np.array([0, 1, 1, 0])
    ours, theirs = np.eye(2)[[0, 1, 1, 1]], np.eye(2)[[0, 0, 1, 1]]
    (noise,) = robustness.every_noise([0.2], word="w")[:1]
    answers = {"teacher": [theirs, theirs], robustness.STUDENT: [theirs, ours]}
    clusters = np.arange(4)
    clean, hurt = robustness.score_under_noise(
        answers, labels, clusters, noises=[noise], against="teacher"
    )
    assert clean.difference is not None
    assert clean.difference.difference == 0
    assert hurt.accuracy == {"teacher": 0.5, "student": 0.75}
    # One row of four differs: 0.25, with a standard deviation of 0.5 and t(0.975, 3) = 3.1824.
    reach = 3.182446 * 0.5 / 2
    assert hurt.difference is not None
    assert hurt.difference.difference == 0.25
    assert hurt.difference.low == pytest.approx(0.25 - reach)
    assert hurt.difference.high == pytest.approx(min(1, 0.25 + reach))
    alone = robustness.score_under_noise(
        {"student": [ours]}, labels, clusters, noises=[], against=None
    )
    assert alone[0].difference is None


def test_teacher_and_student_read_the_same_noise_whatever_the_runs_seed(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: dict[str, str] = {}
    noisy = views.noisy

    def watched(texts: list[str], *, row_ids: list[str], **asked: object) -> list[str]:
        # A masked word is each tokenizer's own token; all else must be alike.
        asked["mask_token"] = "[MASK]"
        found = noisy(texts, row_ids=row_ids, **asked)  # type: ignore[arg-type]
        # By row: batches are cut by length in the learner's own tokens.
        read.update(zip(row_ids, found, strict=True))
        return found

    by_kind: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for seed in (1, 2):
        bench = Bench.make(store, "kd", ("teacher=bert+roberta", f"seed={seed}"))
        bench.runner.run()
        monkeypatch.setattr(views, "noisy", watched)
        for name in (*bench.plan.teachers, bench.plan.deployed):
            # Another chance, if by a hair, so that the store has none of it.
            for noise in robustness.every_noise([0.25 + seed / 1e9], word="w"):
                read.clear()
                logits = bench.runner.parts.logits
                logits.under_noise(name, "test", [noise], computing=lambda: None)
                by_kind[noise.kind.value].add(json.dumps(read, sort_keys=True))
        monkeypatch.setattr(views, "noisy", noisy)
    assert [len(texts) for texts in by_kind.values()] == [1, 1, 1, 1]
    assert len(set.union(*by_kind.values())) == 4


def test_what_was_read_once_is_not_read_again(
    folder: Path, result: dict, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "  generation-2: reads the test rows with noise" in (folder / "log.txt").read_text()
    monkeypatch.setattr(LogitCache, "_predict", lambda *_: 1 / 0)
    run(tmp_path, store, "noisy_student", "method.generations=2", "method.stop=false", *ASKED)
    again = json.loads((tmp_path / "result.json").read_text())
    assert again["robustness"] == result["robustness"]
    assert "reads the test rows" not in (tmp_path / "log.txt").read_text()


def test_the_table_and_the_card_say_what_the_result_says(folder: Path, result: dict) -> None:
    typed = from_json(RunResult, result)
    card = model_card(typed)
    assert "## Under noise" in card
    assert (folder / "student" / "README.md").read_text() == card
    score = result["robustness"]["scores"][-1]
    assert (score["noise"], score["p"]) == ("swap", 0.5)
    shown = (
        f"{100 * score['accuracy']['student']:.2f} | {100 * score['difference']['difference']:+.2f}"
    )
    assert shown in card
    console = terminal()
    console.width = 110
    with console.capture() as captured:
        console.print(robustness_table(typed))
    assert "student − teachers" in captured.get()
    assert "swap" in (folder / "log.txt").read_text()


def test_nothing_is_measured_unless_it_is_asked_for(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "finetune")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["robustness"] is None
    assert robustness_table(from_json(RunResult, found)) is None
    assert "Under noise" not in model_card(from_json(RunResult, found))


def test_without_a_teacher_there_is_no_lead(store: Path, tmp_path: Path) -> None:
    run(tmp_path, store, "finetune", "evaluation.robustness=[1]")
    found = json.loads((tmp_path / "result.json").read_text())
    assert found["robustness"]["models"] == ["student"]
    assert found["robustness"]["against"] is None
    assert all(score["difference"] is None for score in found["robustness"]["scores"])
    assert "student −" not in model_card(from_json(RunResult, found))


def test_every_kind_of_noise_is_among_them() -> None:
    assert {noise.kind for noise in robustness.every_noise([0.1], word="w")} == set(NoiseKind) - {
        NoiseKind.none
    }


@pytest.mark.parametrize("wrong", ["[]", "[-0.1]", "[0.1,1.5]", "[nan]", "[0.1,0.1]"])
def test_strengths_that_cannot_be_are_refused(wrong: str) -> None:
    with pytest.raises(Refused, match=r"evaluation\.robustness"):
        planned(composed("method=kd", f"evaluation.robustness={wrong}"))


def test_no_test_rows_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no test rows"):
        run(tmp_path / "r", tmp_path / "s", "kd", "dataset.split.test=0", ASKED[1])
    assert not list((tmp_path / "s").glob("stages/*/model"))
