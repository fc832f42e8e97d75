"""Sweeps whose jobs Optuna chooses, and the value that a job returns to Hydra."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.tiny import command, shrunk

from distill_runner.command_line import optuna_search
from distill_runner.command_line.overrides import check_overrides
from distill_runner.errors import Refused
from distill_runner.jobs.job import Command, run_job
from distill_runner.jobs.output_folder import mark_sweep
from distill_runner.report.choosing import validation_score

OPTUNA = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_jobs=1", "hydra.sweeper.sampler.seed=1")
INTERVAL = "training.learning_rate=interval(1e-4,1e-2)"


def is_there(name: str) -> bool:
    return find_spec("hydra_plugins") is not None and find_spec(f"hydra_plugins.{name}") is not None


needs_optuna = pytest.mark.skipif(
    not is_there("hydra_optuna_sweeper"), reason="hydra-optuna-sweeper is not installed"
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_search, "_installed", lambda: True)


def result_of(folder: Path) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = json.loads((folder / "result.json").read_text())
    return found


def returned(folder: Path, *overrides: str) -> float | None:
    """What a sweep's job gives back, its run in `folder/0`."""
    mark_sweep(folder)
    store, asked = folder.parent / "store", ["method=finetune", *overrides]
    job = Command(
        shrunk(store, *asked),
        untyped=lambda: shrunk(store, asked[0]),
        choices={"method": "finetune"},
        overrides=asked,
        folder=folder / "0",
        sweeping=True,
    )
    result = run_job(job)
    return None if result is None else validation_score(result)


def test_a_job_returns_its_first_metric_on_validation(tmp_path: Path) -> None:
    value = returned(tmp_path / "one", "dataset.metrics=[macro_f1,accuracy]")
    assert value == result_of(tmp_path / "one" / "0")["metrics"]["validation"]["macro_f1"]


def test_a_job_whose_epoch_validation_chose_returns_that_value(tmp_path: Path) -> None:
    value = returned(tmp_path / "one", "training.select=best_validation")
    metrics = result_of(tmp_path / "one" / "0")["metrics"]
    assert "validation" not in metrics
    assert value == metrics["selection_on_validation"]["accuracy"]


@pytest.mark.parametrize(
    "asked", ["training.learning_rate=7", "dataset.split.validation=0", "dry_run=true"]
)
def test_a_job_without_a_value_returns_none(asked: str, tmp_path: Path) -> None:
    assert returned(tmp_path / "one", asked) is None


def refusal(*overrides: str, sweeping: bool = True) -> Refused:
    with pytest.raises(Refused) as caught:
        check_overrides(overrides, sweeping=sweeping)
    return caught.value


def test_without_the_plugin_the_refusal_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optuna_search, "_installed", lambda: False)
    assert "pip install hydra-optuna-sweeper==1.3.0" in str(refusal("hydra/sweeper=optuna"))


def test_an_interval_without_optuna_is_refused() -> None:
    assert "-m hydra/sweeper=optuna" in str(refusal(INTERVAL))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    "asked",
    [
        "hydra.sweeper.direction=minimize",
        "hydra.sweeper.direction=[maximize,minimize]",
        "hydra.sweeper.n_trials=many",
        "hydra.sweeper.n_trials=0",
        "hydra.sweeper.custom_search_space=os.system",
        "hydra.sweeper.params={seed:1}",
        "hydra.sweeper._target_=os.system",
        "hydra.sweeper.sampler._target_=os.system",
        "experiment=glob(table1-*)",
        "teacher.models=[a],[b]",
    ],
)
def test_what_optuna_would_stumble_over_is_refused(asked: str) -> None:
    key = asked.split("=")[0]
    assert refusal("hydra/sweeper=optuna", asked).key == key


@pytest.mark.usefixtures("installed")
def test_what_a_search_needs_is_taken() -> None:
    check_overrides(
        [
            *("hydra/sweeper=optuna", "hydra/sweeper/sampler=random", "hydra.sweeper.n_trials=6"),
            *("hydra.sweeper.storage=sqlite:///study.db", "hydra.sweeper.study_name=first"),
            *("hydra.sweeper.direction=maximize", INTERVAL, "method.temperature=choice(1,2)"),
            "training.weight_decay=tag(log,interval(1e-4,1e-1))",
        ],
        sweeping=True,
    )


@pytest.mark.usefixtures("installed")
def test_a_sweeper_without_a_sweep_is_refused() -> None:
    assert "with -m" in str(refusal("hydra/sweeper=optuna", sweeping=False))


@needs_optuna
def test_optuna_searches_for_the_largest_value_and_survives_a_refused_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    sweep = tmp_path / "sweep"
    common = ("method=finetune", f"store.dir={tmp_path}/store", f"output_dir={sweep}")
    asked = ("training.learning_rate=interval(-0.01,0.02)", "hydra.sweeper.n_trials=3")
    status = command(monkeypatch, *OPTUNA, *common, *asked)
    printed = capfd.readouterr()
    rows = json.loads((sweep / "sweep.json").read_text())
    assert sorted(row["job"] for row in rows) == [0, 1, 2]
    assert {row["status"] for row in rows} == {"finished", "refused"}
    assert status == 2
    assert "Optuna" not in printed.err + printed.out
    assert "study" not in printed.err + printed.out
    assert "Traceback" not in printed.err
    best = max(row["validation/accuracy"] or 0 for row in rows)
    kept = (sweep / "optimization_results.yaml").read_text()
    assert f"best_value: {best}" in kept
    assert command(monkeypatch, *OPTUNA, *common, *asked) == 2  # into its own folder again


@needs_optuna
def test_a_search_of_which_no_job_finished_ends_in_its_causes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ("method=finetune", f"store.dir={tmp_path}/store", f"output_dir={tmp_path}/sweep")
    asked = ("training.learning_rate=interval(2,3)", "hydra.sweeper.n_trials=2")
    assert command(monkeypatch, *OPTUNA, *common, *asked) == 2
    printed = capfd.readouterr()
    assert "2 of 2 jobs did not finish (2 refused). No job finished." in printed.err
    assert "Traceback" not in printed.err
    assert "Refused: jobs 0 and 1: training.learning_rate is out of range." in printed.out


@needs_optuna
def test_a_search_without_validation_rows_does_not_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    common = ("method=finetune", f"store.dir={tmp_path}/store", f"output_dir={tmp_path}/sweep")
    assert command(monkeypatch, *OPTUNA, *common, INTERVAL, "dataset.split.validation=0") == 2
    assert "dataset.split.validation = 0" in capfd.readouterr().err


@pytest.mark.skipif(
    not is_there("hydra_joblib_launcher"), reason="hydra-joblib-launcher is not installed"
)
def test_jobs_side_by_side_have_their_table_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = ("method=finetune", f"store.dir={tmp_path}/store", f"output_dir={tmp_path}/sweep")
    joblib = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    assert command(monkeypatch, "-m", *joblib, *common, "seed=1,2") == 0
    assert len(json.loads((tmp_path / "sweep" / "sweep.json").read_text())) == 2
