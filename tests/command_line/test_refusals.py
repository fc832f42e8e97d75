"""Bad input: one clear error that names the key, exit status 2, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from distill_runner import cli
from distill_runner.hub import locate
from distill_runner.jobs.sweep import SweepTable

TABLE = "text\tlabel\n" + "".join(
    f"a {word} film number {n}\t{label}\n"
    for n in range(30)
    for word, label in (("good", "good"), ("bad", "bad"))
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.tsv").write_text(TABLE)
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "binary.csv").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "model").mkdir()
    config = '{"model_type": "bert", "num_hidden_layers": 2, "max_position_embeddings": 512}'
    (tmp_path / "model" / "config.json").write_text(config)
    for name in ("vocab.txt", "model.safetensors"):
        (tmp_path / "model" / name).write_text("")
    return tmp_path


def refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *asked: str
) -> str:
    """What the command prints to stderr; it must have refused."""
    common = ["profile=tiny", "tracker=none", f"store.dir={files}/store", f"output_dir={files}/out"]
    named = {item.split("=")[0] for item in asked}
    arguments = [*(item for item in common if item.split("=")[0] not in named), *asked]
    monkeypatch.setattr(sys, "argv", ["distill-run", *arguments])
    monkeypatch.setattr(SweepTable, "verdict", None)
    GlobalHydra.instance().clear()
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2, printed.err
    assert "Traceback" not in printed.err + printed.out
    assert printed.err.count("distill-run:") == 1
    return printed.err


TEXT = "dataset=files"
CASES = {
    "a misspelt group": (["methd=kd"], ["methd = 'kd'", "try:  method=kd"]),
    "an unknown option": (["method=kdd"], ["method = 'kdd'", "metadistil", "method=kd"]),
    "a mistyped experiment": (["experiment=table9"], ["experiment = 'table9'", "table1-01"]),
    "an unknown key": (
        ["training.learning_rat=1e-3"],
        ["training.learning_rat", "training.learning_rate"],
    ),
    "an unknown key of a method": (
        ["method=kd", "method.temprature=2"],
        ["method.temprature", "method.temperature"],
    ),
    "a value that is looked up where nothing is": (
        ["dataset.max_tokens=${{nowhere}}"],
        ["dataset.max_tokens", "${nowhere}", "stands for the value of another key"],
    ),
    "an option that is looked up": (["tracker=${{nowhere}}"], ["tracker = '${nowhere}'"]),
    "a list in a list": (["dataset.metrics=[[accuracy]]"], ["dataset.metrics", "plain values"]),
    "a mapping in a list": (["teacher.models=[{{a:1}}]"], ["teacher.models", "plain values"]),
    "a split of a seed below zero": (["dataset.split_seed=-1"], ["dataset.split_seed = -1"]),
    "a key below one that is null": (
        ["profile=full", "pretrain.teacher.finetune=never"],
        ["pretrain.teacher.finetune", "teacher@pretrain.teacher=OPTION"],
    ),
    "a key further below one that is null": (
        ["profile=full", "pretrain.dataset.split.test=9"],
        ["pretrain.dataset.split.test", "dataset@pretrain.dataset=OPTION"],
    ),
    "generations without end": (
        ["method=born_again", "method.generations=999999999999999999999"],
        ["method.generations", "0..100"],
    ),
    "a stage's teachers that are no names": (
        ["method=kd", "method.stages.kd.teachers=[[1]]"],
        ["method.stages.kd.teachers", "earlier stages"],
    ),
    "a value without a key": (["=1"], ["'=1'", "GROUP=OPTION or KEY=VALUE"]),
    "a wrong type": (["training.batch_size=32.5"], ["training.batch_size", "32.5"]),
    "a wrong type in a method": (
        ["method=kd", "method.temperature=hot"],
        ["method.temperature", "hot", "a number"],
    ),
    "a wrong type of a stage": (
        ["method=kd", "method.warm_start_epochs=many"],
        ["method.warm_start_epochs", "many"],
    ),
    "a value out of range": (["method=kd", "method.alpha=1.5"], ["method.alpha", "1.5", "0..1"]),
    "a temperature of zero": (["method=kd", "method.temperature=0"], ["method.temperature"]),
    "a learning rate of nan": (["training.learning_rate=nan"], ["training.learning_rate", "nan"]),
    "an unknown soft loss": (["method=kd", "method.soft_loss=mse"], ["method.soft_loss", "kl"]),
    "an unknown word for a choice": (["dataset.split.scheme=grupped"], ["grupped", "grouped"]),
    "an added key": (["+method.foo=1"], ["+method.foo", "not added"]),
    "a removed key": (["~method.alpha"], ["method.alpha"]),
    "a group of null": (["method=null"], ["method"]),
    "a group of a number": (["method=1"], ["method = 1", "metadistil"]),
    "a group of a truth value": (["tracker=false"], ["tracker = False", "jsonl"]),
    "a group of an infinite number": (["dataset=inf"], ["dataset = inf", "synthetic"]),
    "a group of a list of nothing": (["noise=[null]"], ["noise = [None]", "mask"]),
    "a group of a list of lists": (["teacher=[[]]"], ["teacher = [[]]", "teacher.models=["]),
    "a group of two options": (["teacher=[bert,roberta]"], ["teacher", "teacher=bert+roberta"]),
    "an experiment of null": (["experiment=null"], ["experiment", "leave it out"]),
    "no data set for pretraining": (
        ["dataset@pretrain.dataset=null"],
        ["dataset@pretrain.dataset", "pretrain.dataset=null"],
    ),
    "a data set's file as an option": (
        ["dataset=/data/simple.csv"],
        ["dataset = '/data/simple.csv'", "dataset=files dataset.path=/data/simple.csv"],
    ),
    "a model's folder as an option": (
        ["teacher=/data/bert"],
        ["teacher = '/data/bert'", "'teacher.models=[/data/bert]'"],
    ),
    "a sweep without -m": (
        ["method=kd", "method.temperature=1,2,5"],
        ["method.temperature = '1,2,5'", "with -m"],
    ),
    "a list without brackets": (
        ["dataset.text=question,answer"],
        ["'dataset.text=[question,answer]'"],
    ),
    "a sweep with spaces": (["seed=1,", "2,", "3"], ["seed = '1,'", "-m seed=1,2,3"]),
    "a value that needs quotes": (
        ["dataset.text=Text (EN)"],
        ["dataset.text = 'Text (EN)'", """'dataset.text="Text (EN)"'"""],
    ),
    "a bracket that stays open": (
        ["dataset.text=[body,kind"],
        ["dataset.text = '[body,kind'", "'dataset.text=[body,kind]'"],
    ),
    "an option without its group": (["kd"], ["the command = 'kd'", "method=kd"]),
    "an option as a flag": (["--method", "kd"], ["--method", "method=kd"]),
    "a flag without the other": (["--resolve"], ["--resolve", "--cfg job --resolve"]),
    "a flag of another word": (["--cfg", "everything"], ["--cfg", "everything"]),
    "a rerun from a pickle": (["--experimental-rerun", "job.pickle"], ["--experimental-rerun"]),
    "a text in place of a list": (
        ["teacher.models=/data/bert"],
        ["teacher.models = '/data/bert'", "'teacher.models=[/data/bert]'"],
    ),
    "a text for a list, by another key": (
        ["teacher.models=${{student.model}}"],
        ["teacher.models = 'distilbert-base-uncased'", "in brackets"],
    ),
    "a launcher of another class": (
        ["-m", "hydra.launcher._target_=os.system", "seed=1,2"],
        ["hydra.launcher._target_", "os.system"],
    ),
    "a run folder in Hydra's words": (
        ["hydra.run.dir=elsewhere"],
        ["hydra.run.dir", "output_dir="],
    ),
    "a sweep's folders in Hydra's words": (
        ["hydra.sweep.subdir=.."],
        ["hydra.sweep.subdir", "output_dir="],
    ),
    "a key of two values": (["seed=1", "seed=2"], ["seed", "1, then 2", "seed=2"]),
    "a mapping emptied": (["models={{}}"], ["models", "merged"]),
    "weights too large to add": (
        ["teacher.weights=[1e308,1e308]"],
        ["teacher.weights", "shares", "[1,1]"],
    ),
    "a stage named by a path": (
        ["method=kd", "method.stages={{../../escaped/x:{{algorithm:null}}}}"],
        ["method.stages", "../../escaped/x"],
    ),
    "a teacher's setting without teachers": (
        ["method=finetune", "teacher.training.epochs=5"],
        ["teacher.training.epochs", "has these teachers"],
    ),
    "names of generated classes": (
        ["dataset.label_names=[no,yes]"],
        ["dataset.label_names", "generated", "dataset=files"],
    ),
    "a column of generated sentences": (["dataset.text=body"], ["dataset.text", "dataset=files"]),
    "a word for noise that puts none in": (
        ["noise=mask", "noise.word=x"],
        ["noise.word", "noise=replace_word"],
    ),
    "data for a first stage that is not there": (
        ["method=kd", "pretrain.dataset.generate=50"],
        ["pretrain.dataset.generate", "tmkd"],
    ),
    "teachers for a first stage that is not there": (
        ["method=kd", "teacher@pretrain.teacher=bert", "pretrain.teacher.training.epochs=2"],
        ["pretrain.teacher.training.epochs"],
    ),
    "a difference that is not taken": (
        ["method.finite_difference_length=0.5"],
        ["method.finite_difference_length"],
    ),
    "noise without a kind": (["noise.p=0.5"], ["noise.p", "noise=replace_word"]),
    "no quiz for metadistil": (["dataset.split.quiz=0"], ["dataset.split.quiz"]),
    "accumulation in a bi-level step": (
        ["training.accumulate=2"],
        ["training.accumulate", "pilot step"],
    ),
    "weights for the wrong number of teachers": (["teacher.weights=[1.0]"], ["teacher.weights"]),
    "temperatures for the wrong number of teachers": (
        ["teacher.temperatures=[1.0]"],
        ["teacher.temperatures", "2 teachers"],
    ),
    "a teacher's own temperature of zero": (
        ["teacher.temperatures=[1.0,0.0]"],
        ["teacher.temperatures"],
    ),
    "learning rates for the wrong number of teachers": (
        ["teacher.learning_rates=[1e-5]"],
        ["teacher.learning_rates"],
    ),
    "weights given and weighed by validation": (
        ["teacher.weights=[1.0,2.0]", "teacher.weigh_by=validation"],
        ["teacher.weights", "weigh_by"],
    ),
    "weighed by validation without any": (
        ["teacher.weigh_by=validation", "dataset.split.validation=0"],
        ["teacher.weigh_by", "dataset.split.validation"],
    ),
    "a data set for pretraining that does not exist": (
        ["dataset@pretrain.dataset=wikiqua"],
        ["dataset@pretrain.dataset=wikiqa"],
    ),
    "a split for pretraining out of range": (
        ["dataset@pretrain.dataset=rte", "pretrain.dataset.split.train=-1"],
        ["pretrain.dataset.split.train"],
    ),
    "a pretraining selected on no validation rows": (
        [
            *("method=tmkd", "profile=tiny", "training.select=best_validation"),
            "pretrain.dataset.split.validation=0",
        ],
        ["training.select", "pretrain.dataset.split.validation"],
    ),
    "teachers for pretraining without its data": (
        ["method=tmkd", "profile=full", "teacher@pretrain.teacher=bert"],
        ["pretrain.teacher.models", "dataset@pretrain.dataset=wikiqa"],
    ),
    "the task's teachers on other rows": (
        ["method=tmkd", "profile=tiny", "method.pretrain_taught_by=[teachers]"],
        ["method.pretrain_taught_by", "[pretrain_teachers]"],
    ),
    "pretraining's teachers on the task's rows": (
        ["method=tmkd", "profile=tiny", "method.taught_by=[pretrain_teachers]"],
        ["method.taught_by", "[teachers]"],
    ),
    "weights of teachers that are not joined": (
        ["method=mkd", "profile=tiny", "teacher=bert+roberta", "teacher.weights=[0.9,0.1]"],
        ["teacher.weights", "method=tkd_avg"],
    ),
    "soft heads that learn nothing": (
        ["method=tmkd", "profile=tiny", "method.alpha=0"],
        ["method.alpha", "method=finetune"],
    ),
    "no row without a label": (
        ["dataset.unlabelled.rows=0"],
        ["dataset.unlabelled.rows", "1 or more"],
    ),
    "texts without labels that are not there": (
        [
            *("method=tmkd", "profile=tiny", "teacher.near_chance=allow"),
            *("pretrain.dataset.unlabelled.generate=0", "pretrain.dataset.unlabelled.path=no.tsv"),
        ],
        ["pretrain.dataset.unlabelled.path", "no.tsv"],
    ),
    "no teacher": (["method=kd", "teacher.models=[]"], ["teacher.models"]),
    "an endless split": (["dataset.split.train=inf"], ["dataset.split.train"]),
    "a method without stages": (["method.stages=null"], ["method.stages"]),
    "an empty stage": (["method=kd", "method.stages.kd=null"], ["method.stages.kd"]),
    "the same layer twice": (
        ["method=finetune", "student.model={}/model", "student.layers=[0,0]"],
        ["student.layers", "[0, 0]"],
    ),
    "texts longer than the model reads": (
        ["method=finetune", "student.model={}/model", "dataset.max_tokens=600"],
        ["dataset.max_tokens", "600", "512"],
    ),
    "a compiled bi-level step": (["runtime.compile=true"], ["runtime.compile"]),
    "a missing file": ([TEXT, "dataset.path=nowhere.csv"], ["dataset.path", "nowhere.csv"]),
    "no path": ([TEXT], ["dataset.path"]),
    "a missing column": ([TEXT, "dataset.path={}/good.tsv", "dataset.text=body"], ["body", "text"]),
    "an empty file": ([TEXT, "dataset.path={}/empty.csv"], ["empty.csv"]),
    "a binary file": ([TEXT, "dataset.path={}/binary.csv"], ["binary.csv"]),
    "more rows than there are": (
        [TEXT, "dataset.path={}/good.tsv", "dataset.split.train=9000"],
        ["dataset.split.train"],
    ),
    "an unknown metric": (["dataset.metrics=[acuracy]"], ["dataset.metrics", "acuracy"]),
    "no metric": (["dataset.metrics=[]"], ["dataset.metrics"]),
    "a metric twice": (["dataset.metrics=[f1,f1]"], ["dataset.metrics"]),
    "a ranking without groups": (["dataset.metrics=[map]"], ["dataset.metrics", "dataset.group"]),
    "a metric of two classes for three": (
        ["dataset=mnli", "dataset.metrics=[f1]"],
        ["dataset.metrics", "there are 3"],
    ),
    "groups and phrases at once": (
        ["dataset=wikiqa", "dataset.split.scheme=grouped"],
        ["dataset.split.scheme", "dataset.group"],
    ),
    "groups of generated sentences": (["dataset.group=text"], ["dataset.group"]),
    "a group that is no column": (
        [TEXT, "dataset.path={}/good.tsv", "dataset.group=author"],
        ["dataset.group", "author"],
    ),
    "an extra split of a taken name": (["dataset=mnli", "dataset.extra=[test]"], ["dataset.extra"]),
    "an extra split of the name of rows without labels": (
        ["dataset=mnli", "dataset.extra=[unlabelled]"],
        ["dataset.extra"],
    ),
    "an extra split without a file": (
        [TEXT, "dataset.path={}/good.tsv", "dataset.extra=[hard]"],
        ["dataset.extra", "validation_hard"],
    ),
    "an output that is a file": (["output_dir={}/file/run"], ["output_dir"]),
    "a store that is a file": (["store.dir={}/file/store"], ["store.dir"]),
    "a model folder that is missing": (
        ["method=kd", "teacher.models=[./no-such-model]"],
        ["teacher.models", "no-such-model"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_refused(
    case: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, named = CASES[case]
    error = refused(files, monkeypatch, capsys, *(item.format(files) for item in asked))
    for word in named:
        assert word in error
    assert not (files / "out").exists()


@pytest.mark.parametrize("case", CASES)
def test_what_a_run_refuses_a_dry_run_refuses_too(
    case: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked, named = CASES[case]
    given = ["dry_run=true", *(item.format(files) for item in asked)]
    error = refused(files, monkeypatch, capsys, *given)
    for word in named:
        assert word in error


WRONG = [
    *("method=kd", "teacher.models=[{}/bare,./nowhere]", "student.model={}/no-student"),
    *("dataset=files", "dataset.path={}/reviews", "dataset.group=author"),
]


@pytest.mark.parametrize("dry", [(), ("dry_run=true",)])
def test_all_that_is_wrong_with_local_files_is_named_at_once_and_no_hub_is_asked(
    dry: tuple[str, ...],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(locate, "find_hub_fault", asked.append)
    (files / "bare").mkdir()
    (files / "bare" / "config.json").write_text('{"model_type": "bert"}')
    (files / "reviews").mkdir()
    (files / "reviews" / "train.csv").write_text("body,stars\na good film,1\na bad one,0\n")
    (files / "reviews" / "validation.csv").write_text("text,stars,author\na good film,1,me\n")
    error = refused(files, monkeypatch, capsys, *(item.format(files) for item in WRONG), *dry)
    assert "7 things are wrong" in error
    for wrong in (
        *("'train.csv' has no column 'text'", "'train.csv' has no column 'label'"),
        *("'train.csv' has no column 'author'", "'validation.csv' has no column 'label'"),
        *("bare has no vocabulary", "no folder './nowhere'", "no-student'"),
    ):
        assert wrong in error
    for key in ("dataset.text", "dataset.label", "dataset.group", "teacher.models"):
        assert f"  {key} = " in error
    assert asked == []


def test_a_key_of_pretraining_is_blamed_and_offered_by_its_own_name(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (files / "texts.csv").write_text("body\na good film\n")
    error = refused(
        *(files, monkeypatch, capsys, "method=tmkd", "pretrain.dataset.unlabelled.generate=0"),
        f"pretrain.dataset.unlabelled.path={files}/texts.csv",
    )
    assert "pretrain.dataset.unlabelled.text = 'text'" in error


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_no_gpu_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "runtime.device" in refused(files, monkeypatch, capsys, "runtime.device=cuda")


def test_a_glob_that_matches_nothing_is_refused(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = refused(files, monkeypatch, capsys, "-m", "experiment=glob(tabel*)")
    assert "tabel*" in error


def test_a_setting_that_some_jobs_of_a_sweep_read_is_said_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["-m", "method=finetune,kd", "teacher=bert", "teacher.training.epochs=2"]
    common = ["profile=tiny", "tracker=none", f"output_dir={tmp_path}/out", "dry_run=true"]
    common.append(f"store.dir={tmp_path}/store")
    monkeypatch.setattr(sys, "argv", ["distill-run", *asked, *common])
    monkeypatch.setattr(SweepTable, "verdict", None)
    GlobalHydra.instance().clear()
    cli.main()
    told = capsys.readouterr().out
    assert told.count("not read by this job: teacher.training.epochs") == 1
    assert told.count("not used by method=finetune: teacher=bert") == 1


def test_a_setting_equal_to_the_default_is_not_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["method=kd", "teacher.weights=[1,1]", "method.temperature=2", "training.epochs=3"]
    common = ["profile=tiny", "tracker=none", f"output_dir={tmp_path}/out", "dry_run=true"]
    monkeypatch.setattr(
        sys, "argv", ["distill-run", *asked, *common, f"store.dir={tmp_path}/store"]
    )
    GlobalHydra.instance().clear()
    cli.main()
    assert "taught by" in capsys.readouterr().out
