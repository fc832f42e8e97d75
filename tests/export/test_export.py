"""An export answers as its run's student does, and replaces nothing but an earlier one of it."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import distill_runner
from distill_runner import DistillError, Refused
from distill_runner.export.export import Exported, export
from distill_runner.export.extra import PACKAGES
from distill_runner.export.measured import figures, plain_table
from distill_runner.export.wanted import Wanted
from distill_runner.jobs.output_folder import OutputFolder, changed_file

Start = Callable[[str], Path]
Texts = list[str] | list[tuple[str, str]]
needs_onnx = pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="distill-run[export] is not installed"
)
CUT_ONLY = Wanted(onnx=False, int8=False, vocabulary="train")
# Ends as the exported script does on a machine without torch.
WITHOUT_TORCH = (
    "import runpy, sys\n"
    "for name in ('torch', 'transformers', 'datasets', 'distill_runner'):\n"
    "    sys.modules[name] = None\n"
    "sys.argv = sys.argv[1:]\n"
    "runpy.run_path(sys.argv[0], run_name='__main__')\n"
)


def quiet(_: str) -> None:
    """Print nothing."""


def held_out(run: Path, columns: Sequence[str] = ("text",)) -> Texts:
    """The texts of the test file, which no form of the student was compared on."""
    with (run.parent / "test.csv").open(encoding="utf-8") as file:
        rows = [tuple(row[name] for name in columns) for row in csv.DictReader(file)]
    return [row[0] for row in rows] if len(columns) == 1 else [(a, b) for a, b in rows]


def served(folder: Path, *arguments: str, given: str | None = None) -> list[dict[str, Any]]:
    """What the exported script prints where neither torch nor transformers can be imported."""
    words = [sys.executable, "-c", WITHOUT_TORCH, str(folder / "serve_onnx.py"), *arguments]
    done = subprocess.run(words, input=given, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def export_to(folder: Path | None, run: Path, wanted: Wanted) -> Exported:
    """An export whose memory is not measured, which takes a process for each form."""
    return export(run, wanted, output=folder, say=quiet, memory=lambda _: 1)


@pytest.fixture(scope="module")
def smaller(trained: Start) -> Exported:
    """The export of one student with a smaller vocabulary, in the run folder."""
    return export_to(None, trained("one"), CUT_ONLY)


@needs_onnx
def test_the_script_gives_the_students_labels_without_torch(trained: Start, tmp_path: Path) -> None:
    run, folder = trained("one"), tmp_path / "export"
    found = export_to(folder, run, Wanted(onnx=True, int8=True))
    _, onnx, int8 = found.forms
    assert onnx.check.largest < 1e-5 < int8.check.largest < 0.5
    assert onnx.check.changed == 0
    assert int8.size < onnx.size
    for form in found.forms:
        assert form.check.lead.low <= form.check.difference <= form.check.lead.high
        assert 0 < form.times.p50 <= form.times.p95
    texts, student = held_out(run), distill_runner.load(run)
    answers = served(folder, given="\n".join(map(str, texts)) + "\n")
    assert [one["text"] for one in answers] == texts
    assert [one["label"] for one in answers] == student.predict(texts)
    shares = np.array([list(one["probabilities"].values()) for one in answers])
    assert shares == pytest.approx(student.predict_proba(texts), abs=1e-5)
    _double_temperature(folder)
    (softer,) = served(folder, str(texts[0]))
    logs = np.log([shares[0], list(softer["probabilities"].values())])
    assert logs[1][1] - logs[1][0] == pytest.approx((logs[0][1] - logs[0][0]) / 2)


def _double_temperature(folder: Path) -> None:
    content = json.loads((folder / "export.json").read_text())
    content["reading"]["temperature"] = [2 * one for one in content["reading"]["temperature"]]
    (folder / "export.json").write_text(json.dumps(content))


def test_the_run_folder_stays_that_of_a_finished_run(smaller: Exported) -> None:
    run = smaller.run.folder
    assert smaller.folder == run / "export"
    assert changed_file(run, ("result.json", "config.yaml", "student"), ignoring=()) is None
    with OutputFolder.claim(run):  # as a later run with this folder would
        assert (run / "export" / "cut" / "model.safetensors").is_file()


def test_the_card_names_every_file_with_its_score(smaller: Exported) -> None:
    text = (smaller.folder / "README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(text.split("---\n")[1])
    assert front["library_name"] == "transformers"
    (model,) = front["model-index"]
    said = {one["name"] for result in model["results"] for one in result["metrics"]}
    assert said == {"accuracy of cut"}
    assert "- `cut`: the column cut" in text
    score = smaller.run.result.metrics["test"]
    assert f"accuracy {100 * score.value:.2f} [" in text


def test_an_export_is_replaced_only_by_one_of_the_same_run_and_unchanged(
    smaller: Exported, trained: Start, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(smaller.folder, copy)
    again = export_to(copy, trained("one"), CUT_ONLY)
    assert [form.name for form in again.forms] == ["torch", "cut"]
    (copy / "README.md").write_text("My card.")
    with pytest.raises(Refused, match=r"holds README\.md, which no export wrote, or which has"):
        export_to(copy, trained("one"), CUT_ONLY)
    with pytest.raises(Refused, match="holds the export of another run"):
        export_to(copy, trained("of bytes"), CUT_ONLY)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(Refused, match=r"is no export: it holds notes\.txt"):
        export_to(tmp_path / "mine", trained("one"), CUT_ONLY)
    with pytest.raises(Refused, match="lies among the files of a run"):
        export_to(trained("one") / "student" / "mine", trained("one"), CUT_ONLY)
    with pytest.raises(DistillError, match="The export cannot be written"):
        export_to(tmp_path / "mine" / "notes.txt" / "export", trained("one"), CUT_ONLY)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "mine"]


@needs_onnx
@pytest.mark.slow
def test_a_process_that_answers_with_onnx_needs_no_torch_in_memory(
    trained: Start, tmp_path: Path
) -> None:
    wanted = Wanted(onnx=True, int8=False)
    found = export(trained("one"), wanted, output=tmp_path / "export", say=quiet)
    torch, onnx = (form.memory for form in found.forms)
    assert 10e6 < onnx < torch / 2


@pytest.mark.parametrize("kind", ["of bytes", "of pairs"])
def test_plain_transformers_loads_a_model_with_a_cut_vocabulary(
    kind: str, trained: Start, tmp_path: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run = trained(kind)
    pair = ("first", "second") if kind == "of pairs" else ("text",)
    some = held_out(run, pair)[:3]
    lines = [dict(zip(pair, (one,) if isinstance(one, str) else one, strict=True)) for one in some]
    (tmp_path / "texts.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    wanted = Wanted(onnx=False, int8=False, vocabulary=str(tmp_path / "texts.jsonl"))
    found = export_to(tmp_path / "export", run, wanted)
    assert found.cut is not None
    assert found.cut.largest == 0
    assert found.cut.after < found.cut.before
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "export" / "cut")
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "export" / "cut")
    assert len(tokenizer) == model.config.vocab_size == found.cut.after
    words = (some[0],) if isinstance(some[0], str) else some[0]
    logits = model(**tokenizer(*words, return_tensors="pt")).logits.detach().numpy()
    assert logits == pytest.approx(distill_runner.load(run).logits(some[:1]), abs=1e-5)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        *("of bytes", "without layers", "with soft heads", "several together"),
        *("of pairs", "of scores", "of sets"),
    ],
)
def test_every_kind_of_student_answers_as_before(kind: str, trained: Start, tmp_path: Path) -> None:
    run, folder = trained(kind), tmp_path / "export"
    found = export_to(folder, run, Wanted(onnx=True, int8=False))
    assert found.forms[1].check.largest < 1e-5
    assert "library_name: onnx" in (folder / "README.md").read_text(encoding="utf-8")
    columns = ("first", "second") if kind in ("of pairs", "of scores") else ("text",)
    texts, student = held_out(run, columns), distill_runner.load(run)
    lines = [text if isinstance(text, str) else "\t".join(text) for text in texts]
    answers = served(folder, given="\n".join(lines) + "\n")
    predicted = student.predict(texts)
    if kind == "of scores":
        assert [one["score"] for one in answers] == pytest.approx(predicted, abs=1e-4)
    else:
        name = "labels" if kind == "of sets" else "label"
        assert [one[name] for one in answers] == predicted
        shares = np.array([list(one["probabilities"].values()) for one in answers])
        assert shares == pytest.approx(student.predict_proba(texts), abs=1e-5)


@needs_onnx
@pytest.mark.slow
def test_members_that_answer_together_are_cut_and_quantised_together(
    trained: Start, tmp_path: Path
) -> None:
    wanted = Wanted(onnx=True, int8=True, vocabulary="train")
    found = export_to(tmp_path / "export", trained("several together"), wanted)
    forms = {form.name: form for form in found.forms}
    assert list(forms) == ["torch", "ONNX", "int8", "cut", "cut ONNX", "cut int8"]
    assert max(map(len, plain_table(figures(found.run.result, found.forms)))) <= 80
    assert found.cut is not None
    assert found.cut.largest == 0
    assert found.cut.unknown_after == found.cut.unknown_before
    assert forms["cut"].check.largest == pytest.approx(forms["cut ONNX"].check.largest, abs=1e-5)
    lines = ["a good film", "a bad plot"]
    words = ("--model", "cut/model_int8.onnx", *lines)
    assert [one["text"] for one in served(tmp_path / "export", *words)] == lines


def test_a_static_student_is_cut_to_what_model2vec_loads(trained: Start, tmp_path: Path) -> None:
    inference = pytest.importorskip("model2vec.inference", reason="model2vec is not installed")
    found = export_to(tmp_path / "export", trained("without layers"), CUT_ONLY)
    assert found.cut is not None
    assert found.cut.largest == 0
    pipeline = inference.StaticModelPipeline.from_pretrained(str(tmp_path / "export" / "cut"))
    student = distill_runner.load(trained("without layers"))
    texts = ["a good film", "bad dull plot"]
    assert pipeline.predict_proba(texts) == pytest.approx(student.predict_proba(texts), abs=1e-5)


def test_a_file_of_texts_decides_the_cut(trained: Start, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("id,body\n1,a good film\n2,\n", encoding="utf-8")
    run, typed = trained("one"), f"{tmp_path / 'texts.csv'}:body"
    wanted = Wanted(onnx=False, int8=False, vocabulary=typed)
    found = export_to(tmp_path / "export", run, wanted)
    assert found.cut is not None
    assert found.cut.decided == 1


@pytest.mark.parametrize(
    ("typed", "reason"),
    [
        ("nowhere.csv:body", "There is no file nowhere.csv"),
        ("texts.csv", "'texts.csv' has no column 'text'"),
        ("texts.csv:title", "'texts.csv' has no column 'title'"),
        ("texts.csv:body,id", "The student reads one column"),
        ("texts.doc:body", "is of no known format"),
        ("empty.csv:body", "holds no text"),
    ],
)
def test_what_is_no_file_of_texts_is_refused(
    typed: str, reason: str, trained: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained("one").resolve()
    monkeypatch.chdir(tmp_path)
    for name in ("texts.csv", "texts.doc"):
        (tmp_path / name).write_text("id,body\n1,a good film\n", encoding="utf-8")
    (tmp_path / "empty.csv").write_text("id,body\n1,\n", encoding="utf-8")
    wanted = Wanted(onnx=False, int8=False, vocabulary=typed)
    with pytest.raises(Refused, match=reason):
        export_to(tmp_path / "export", run, wanted)
    assert not (tmp_path / "export").exists()


def test_a_run_whose_rows_have_changed_is_refused(trained: Start, tmp_path: Path) -> None:
    run = trained("one")
    shutil.copytree(run.parent, tmp_path / "moved", ignore=shutil.ignore_patterns("export"))
    data = run.parent / "train.csv"
    content = data.read_text(encoding="utf-8")
    try:
        data.write_text(content.replace("bad dull", "bad odd"), encoding="utf-8")
        with pytest.raises(Refused, match="rows are no longer what they were"):
            export_to(tmp_path / "export", run, CUT_ONLY)
        data.unlink()
        with pytest.raises(Refused, match="rows cannot be read again"):
            export_to(tmp_path / "export", run, CUT_ONLY)
    finally:
        data.write_text(content, encoding="utf-8")
    assert not (tmp_path / "export").exists()
