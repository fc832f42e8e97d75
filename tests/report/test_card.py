"""The student's card: the hub's reader parses it, and its code runs as printed."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from huggingface_hub import ModelCard
from support.tiny import run

from distill_runner.data.synthetic import generate
from distill_runner.hub.model_card import origin_of
from distill_runner.results.origins import Origin


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run whose student started from a model with a licence."""
    root = tmp_path_factory.mktemp("card")
    run(root / "first", root / "store", "finetune")
    base = root / "models" / "acme" / "base"
    shutil.copytree(root / "first" / "student", base)
    (base / "README.md").write_text("---\nlicense: mit\n---\n# base\n")
    asked = ("student.model=acme/base", f"paths.models={root / 'models'}")
    run(root / "run", root / "store", "kd", "teacher=bert", *asked)
    return root / "run"


def card_of(folder: Path) -> ModelCard:
    return ModelCard.load(folder / "student" / "README.md")


def test_its_fields_are_those_that_are_known(folder: Path) -> None:
    data = card_of(folder).data
    assert (data.library_name, data.pipeline_tag) == ("transformers", "text-classification")
    assert (data.base_model, data.license) == ("acme/base", "mit")
    assert data.language is None
    assert data.datasets is None  # generated sentences are no data set of the hub


def test_its_figures_are_those_of_the_result_with_their_intervals(folder: Path) -> None:
    result = json.loads((folder / "result.json").read_text())
    found = card_of(folder).data.eval_results
    assert found is not None
    figures = {(one.dataset_split, one.metric_name): one for one in found}
    for split, metrics in result["metrics"].items():
        accuracy = figures[split, "accuracy"]
        assert accuracy.metric_value == metrics["accuracy"]
        assert accuracy.metric_args["interval_95"] == [metrics["low"], metrics["high"]]
        assert accuracy.metric_args["rows"] == metrics["n"]
        assert figures[split, "macro_f1"].metric_value == metrics["macro_f1"]


def test_its_lines_predict_what_the_run_predicted(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with open(folder / "predictions" / "test.csv", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    text = generate(200, 1)[int(row["id"].removeprefix("synthetic-"))][0]
    (lines,) = re.findall(r"```python\n(.*?)```", card_of(folder).text, re.DOTALL)
    assert '"student"' in lines
    assert "max_length=" in lines
    asked = lines.replace('"student"', repr(str(folder / "student")))
    exec(asked.replace('"the text"', repr(text)))
    assert f"'label': '{row['predicted']}'" in capsys.readouterr().out


def test_a_model_of_a_folder_names_no_repository_and_a_broken_card_no_licence(
    tmp_path: Path,
) -> None:
    assert origin_of(str(tmp_path), tmp_path) == Origin(base_model=None, license=None)
    (tmp_path / "README.md").write_text("---\nlicense: [a: : b\n---\n")
    assert origin_of("acme/base", tmp_path) == Origin(base_model="acme/base", license=None)
    cached = tmp_path / "models--acme--base" / "snapshots" / "abc"
    cached.mkdir(parents=True)
    (cached / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    expected = Origin(base_model="acme/base", license="apache-2.0")
    assert origin_of("base", cached) == expected


def test_a_model_made_at_random_has_no_base(tmp_path: Path) -> None:
    run(tmp_path / "run", tmp_path / "store", "finetune")
    assert card_of(tmp_path / "run").data.base_model is None
