"""Every row of the slides' tables composes, full-size and tiny, and has its published figure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from support.tiny import Bench, composed, planned

from distill_runner.config.compose import config_path, option_names
from distill_runner.config.describe import header
from distill_runner.config.schema import Config, SplitScheme
from distill_runner.planning.stages import Plan

BERT, ROBERTA = "bert-base-uncased", "roberta-base"
DISTILBERT, TINYBERT = "distilbert-base-uncased", "huawei-noah/TinyBERT_General_4L_312D"

# Read off the slides, not off the YAML: (table, accuracy, method, teachers, student).
ROWS = {
    "table1-01-bert": (1, 93.8, "finetune", [], BERT),
    "table1-02-roberta": (1, 92.95, "finetune", [], ROBERTA),
    "table1-03-distilbert": (1, 92.65, "finetune", [], DISTILBERT),
    "table1-04-tinybert": (1, 89.95, "finetune", [], TINYBERT),
    "table1-05-kd-bert-distilbert": (1, 93.1, "kd", [BERT], DISTILBERT),
    "table1-06-kd-bert-tinybert": (1, 91.65, "kd", [BERT], TINYBERT),
    "table1-07-kd-roberta-distilbert": (1, 81.5, "kd", [ROBERTA], DISTILBERT),
    "table1-08-metadistil-bert-distilbert": (1, 93.1, "metadistil", [BERT], DISTILBERT),
    "table1-09-metadistil-bert-tinybert": (1, 90.3, "metadistil", [BERT], TINYBERT),
    "table1-10-metadistil-roberta-distilbert": (1, 89.3, "metadistil", [ROBERTA], DISTILBERT),
    "table1-11-metadistil-bert+roberta-distilbert": (
        *(1, 92.85, "metadistil"),
        *([BERT, ROBERTA], DISTILBERT),
    ),
    "table1-12-metadistil-bert+bert-distilbert": (
        *(1, 93.55, "metadistil"),
        *([BERT, BERT], DISTILBERT),
    ),
    "table2-01-metadistil-bert-distilbert": (2, 93.1, "metadistil", [BERT], DISTILBERT),
    "table2-02-warm-start": (2, 92.45, "metadistil", [BERT], DISTILBERT),
    "table3-01-metadistil-bert-tinybert": (3, 90.3, "metadistil", [BERT], TINYBERT),
    "table3-02-metadistil-roberta-distilbert": (3, 89.3, "metadistil", [ROBERTA], DISTILBERT),
    "table3-03-bert+bert-noise": (3, 88.55, "metadistil", [BERT, BERT], DISTILBERT),
    "table3-04-bert+roberta-noise": (3, 88.5, "metadistil", [BERT, ROBERTA], DISTILBERT),
}
NOISY = ("table3-03-bert+bert-noise", "table3-04-bert+roberta-noise")
WARM = "table2-02-warm-start"

every_row = pytest.mark.parametrize("name", ROWS)


@cache  # Hydra reads a dozen files each time
def asked(*overrides: str) -> tuple[Config, Plan]:
    return planned(composed(*overrides))


def config_of(name: str, *overrides: str) -> Config:
    return asked(f"experiment={name}", *overrides)[0]


def plan_of(name: str, *overrides: str) -> Plan:
    return asked(f"experiment={name}", *overrides)[1]


def deployed_teachers(plan: Plan) -> list[str]:
    return [plan.stage(name).learner.id for name in plan.stage(plan.deployed).teachers]


def test_there_is_one_experiment_for_each_row_of_the_tables() -> None:
    found = {path.stem for path in Path(config_path(), "experiment").glob("table*.yaml")}
    assert found == set(ROWS)


@every_row
def test_a_row_carries_the_published_figure_and_its_source(name: str) -> None:
    table, accuracy, *_ = ROWS[name]
    config = config_of(name)
    assert config.published is not None
    assert config.published.accuracy == accuracy
    published = config.published
    assert (published.dataset, published.split, published.rows) == ("sst2", "test", 2000)
    assert config.published.source == f"Improving MetaDistil, Table {table}"


@every_row
@pytest.mark.parametrize("profile", ["full", "tiny"])
def test_a_row_plans_the_method_teachers_and_student_of_the_slides(name: str, profile: str) -> None:
    _, _, method, teachers, student = ROWS[name]
    plan = plan_of(name, *([] if profile == "full" else [f"profile={profile}"]))
    assert plan.deployed == method
    assert deployed_teachers(plan) == teachers
    assert plan.stage(plan.deployed).learner.id == student


@every_row
def test_in_full_a_row_is_trained_and_cut_as_the_slides_say(name: str) -> None:
    config = config_of(name)
    split = config.dataset.split
    assert config.dataset.name == "sst2"
    assert split.scheme is SplitScheme.random
    # null is the official validation file, 872 rows.
    assert (split.train, split.quiz, split.validation, split.test) == (30_000, 100, None, 2_000)
    assert config.training.epochs == 15


@every_row
def test_in_small_a_row_changes_nothing_of_the_tiny_profile(name: str) -> None:
    row = config_of(name, "profile=tiny")
    plain, _ = asked("profile=tiny")
    assert row.dataset == plain.dataset
    assert row.training == plain.training
    assert row.teacher.training == plain.teacher.training
    assert row.models == plain.models


@every_row
def test_only_the_last_rows_of_table_3_have_noise(name: str) -> None:
    plan = plan_of(name)
    noise = plan.stage(plan.deployed).noise
    found = None if noise is None else (noise.kind.value, noise.word, noise.p)
    assert found == (("replace_word", "noise_word", 0.2) if name in NOISY else None)


@every_row
def test_only_the_second_row_of_table_2_fine_tunes_for_an_epoch_first(name: str) -> None:
    plan = plan_of(name)
    before = plan.stage(plan.deployed).earlier_stage
    epochs = None if before is None else plan.stage(before).training.epochs
    assert epochs == (1 if name == WARM else None)


def test_two_fine_tunings_of_one_bert_differ_in_their_seeds() -> None:
    plan = plan_of("table1-12-metadistil-bert+bert-distilbert")
    assert len({plan.stage(name).seed for name in plan.teachers}) == 2


PUBLISHED = {BERT: "table1-01-bert", ROBERTA: "table1-02-roberta"}


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row[3]])
def test_the_model_with_the_published_figure_is_the_one_that_teaches(name: str) -> None:
    plan = plan_of(name)
    for title in plan.teachers[: len(set(ROWS[name][3]))]:  # a second BERT has another seed
        teacher = plan.stage(title)
        row = plan_of(PUBLISHED[teacher.learner.id])
        fine_tuned = row.stage(row.deployed)
        learner = replace(fine_tuned.learner, config_key=teacher.learner.config_key)
        place = {"name": title, "role": teacher.role, "group": teacher.group}
        assert replace(fine_tuned, **place, learner=learner) == teacher


def test_the_model_of_a_row_is_not_trained_again_to_teach(tmp_path: Path) -> None:
    alike = ("teacher.training.epochs=2", "teacher.training.learning_rate=1e-3")
    row, taught = (
        Bench.make(
            tmp_path, method, (f"experiment={name}", *alike, "teacher.training.batch_size=8")
        )
        for method, name in (("finetune", "table1-01-bert"), ("kd", "table1-05-kd-bert-distilbert"))
    )
    keys = [
        bench.runner.key_of(bench.plan.stage(name))
        for bench, name in ((row, row.plan.deployed), (taught, taught.plan.teachers[0]))
    ]
    assert keys[0] == keys[1]


def test_the_command_line_has_the_last_word_over_an_experiment() -> None:
    config = config_of("table1-05-kd-bert-distilbert", "training.epochs=3")
    assert config.training.epochs == 3


def test_the_setting_of_the_slides_can_be_had_without_one_of_their_rows() -> None:
    config = config_of("slides", "method=kd", "teacher=bert")
    assert config.published is None
    assert config.dataset.split.scheme is SplitScheme.random


OTHERS = [name for name in option_names("experiment") if name not in (*ROWS, "slides")]
RECORD = re.compile(r"outputs/records/[\w.-]*\w")


@pytest.mark.parametrize("name", option_names("experiment"))
def test_an_experiments_header_states_its_cost_or_that_nothing_was_measured(name: str) -> None:
    said = " ".join(header(Path(config_path(), "experiment", f"{name}.yaml")).split())
    records = [Path(__file__).parents[1] / found for found in RECORD.findall(said)]
    assert all((record / "README.md").is_file() for record in records)
    measured = [
        result
        for record in records
        for result in record.glob("*/result.json")
        if json.loads(result.read_text()).get("experiment") == name
    ]
    assert ("Cost and result: not measured here" in said) == (not measured)


@pytest.mark.parametrize("profile", ["full", "tiny"])
@pytest.mark.parametrize("name", OTHERS)
def test_an_experiment_beside_the_tables_plans_a_fair_comparison(name: str, profile: str) -> None:
    # Texts without labels are the user's own, but for the generated ones of the tiny profile.
    given = name.startswith("tmkd") and profile == "full"
    texts = ("pretrain.dataset.unlabelled.path=pairs.tsv",) if given else ()
    _, plan = asked(f"experiment={name}", f"profile={profile}", *texts)
    student = plan.stage(plan.deployed)
    if not student.teachers:
        assert len(plan.stages) == 1  # fine-tuning alone
        return
    assert plan.baseline is not None
    alone = plan.stage(plan.baseline)
    assert student.learner == alone.learner  # the gain is of one and the same student
    assert student.training == alone.training


# Read off the paper's tables 4 to 7, not off the YAML: RTE.
TMKD = {
    "tmkd-1-no_teacher": 57.42,
    "tmkd-2-one_on_one": 55.23,
    "tmkd-3-one_avg_on_one": 58.12,
    "tmkd-4-many_on_many": 57.40,
    "tmkd-5-mkd": 59.92,
    "tmkd-6-tkd": 67.35,
    "tmkd-7-tkd_avg": 67.10,
    "tmkd-8-tmkd": 67.50,
}


def test_tmkds_rows_carry_the_papers_figures_and_its_teachers() -> None:
    found = {name for name in OTHERS if name.startswith("tmkd-")}
    assert found == set(TMKD)
    for name, accuracy in TMKD.items():
        config = config_of(name, "pretrain.dataset.unlabelled.path=pairs.tsv")
        assert config.published is not None
        assert config.published.accuracy == accuracy
        published = config.published
        assert (published.dataset, published.split, published.rows) == ("rte", "validation", 277)
        assert published.train_rows == 2490  # of which 400 are our test rows
        assert config.teacher.learning_rates == [2e-5, 3e-5, 5e-5]
        assert config.student.layers == [0, 1, 2]


def test_hintons_ten_teachers_differ_only_in_their_seed() -> None:
    plan = plan_of("hinton-ensemble10")
    teachers = [plan.stage(name) for name in plan.teachers]
    assert sorted(stage.seed for stage in teachers) == list(range(1001, 1011))
    assert all(stage.learner == teachers[0].learner for stage in teachers)
    assert all(stage.training == teachers[0].training for stage in teachers)
    assert plan.stage(plan.deployed).teachers == plan.teachers
