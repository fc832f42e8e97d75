"""Every command that README and docs print works, at a small size."""

from __future__ import annotations

import csv
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from support.distill import distill
from support.tiny import command

from benchmarks import options
from distill_runner.command_line.flags import arguments
from distill_runner.command_line.overrides import check_typed_once
from distill_runner.command_line.parsing import check_not_added, parse_override
from distill_runner.export.extra import PACKAGES

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", *sorted(
    str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")
))  # fmt: skip
_BLOCK = re.compile(r"^```(?:bash|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"\s+#\s.*$")
DOCUMENTED = (f"hydra.searchpath=['file://{ROOT / 'tests' / 'conf'}']", "profile=documented")
TWO_STAGES = (DOCUMENTED[0], "profile=documented_two_stages")
SHRUNK = (DOCUMENTED[0], "profile=shrunk")
# What a person types around our commands; none of it is ours to test.
AROUND = (
    *(". .venv/bin/activate", "pip install pre-commit", "pre-commit install"),
    "pip install 'distill-run[export]'",
)
# Sweeps of a whole table, and methods of several trainings: seconds each.
SLOW = (
    *("glob(table1-*)", "glob(tmkd-*)", "glob(mutual-*)", "teacher=bert_x10"),
    *("method.temperature=1,2,5,10 seed", "seed=3,4", "layers:[0,2,4,6,8,10]"),
)


@dataclass(frozen=True)
class Printed:
    """A command and the page that prints it."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.words)


def commands_of(page: str) -> list[Printed]:
    """The commands of a page's blocks, one for each line and each part of a chain."""
    text = (ROOT / page).read_text(encoding="utf-8")
    lines = [
        _COMMENT.sub("", line).strip()
        for block in _BLOCK.findall(text)
        for line in block.replace("\\\n", " ").splitlines()
    ]
    parts = [part.strip() for line in lines for part in line.split(" && ")]
    return [Printed(page, tuple(shlex.split(part))) for part in parts if part]


def kind_of(printed: Printed) -> str:
    """How a command is tested; one that fits nowhere fails.

    Raises:
        LookupError: no test knows what to do with it.
    """
    words, text = printed.words, str(printed)
    if words[0] == "distill-run" or words[:3] == ("python", "-m", "distill_runner"):
        if any(word.startswith(("hydra/sweeper=", "hydra/launcher=")) for word in words):
            return "plugin"
        asks = any(word.startswith(("--help", "--cfg", "--version")) for word in words)
        return "question" if asks else "run"
    if words[:2] == ("distill", "export") or "serve_onnx.py" in text:
        return "export"
    if words[:2] == ("distill", "frontier"):
        return "search"
    if words[0] == "distill":
        return "verb"
    if words[:2] == ("python", "-c"):
        return "program"
    if words[0] == "python" and words[1].startswith("docs/tools/"):
        return "tool"
    if words[0] == "scripts/bench":
        return "benchmark"
    if words[0].startswith("scripts/"):
        return "script"
    if words[:2] == ("mkdocs", "serve") or any(text == one for one in AROUND):
        return "around"
    raise LookupError(f"{printed.page} has a command of no known kind: {text}")


EVERY = [printed for page in PAGES for printed in commands_of(page)]


def of_kind(*kinds: str) -> list[object]:
    """The commands of these kinds, each once, as parameters of a test."""
    once = {str(one): one for one in EVERY if kind_of(one) in kinds}
    return [
        pytest.param(
            one, id=text, marks=[pytest.mark.slow] if any(part in text for part in SLOW) else []
        )
        for text, one in once.items()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_every_command_is_of_a_kind_that_is_tested(page: str) -> None:
    assert {kind_of(one) for one in commands_of(page)} <= {
        *("plugin", "question", "run", "verb", "program", "tool", "benchmark", "script", "around"),
        *("export", "search"),
    }


SENTIMENTS = ("a good film", "a fine plot", "quick and warm", "so bad", "dull and slow", "a mess")


def rows(count: int) -> list[dict[str, str]]:
    """Rows that satisfy every data set named in the documentation."""
    found = []
    for at in range(count):
        text, label = f"{SENTIMENTS[at % 6]} number {at}", at % 6 // 3
        texts = {"sentence": text, "body": text, "text": text}
        pairs = {
            "question": f"which film is it, the {at // 4}?",
            "answer": text,
            "sentence1": f"which film is it, the {at}?",
            "sentence2": text,
        }
        found.append(texts | pairs | {"label": str(label), "stars": ("bad", "good")[label]})
    return found


def write_csv(path: Path, content: list[dict[str, str]], *, delimiter: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(content[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(content)


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the commands name, and one store for all of them."""
    folder = tmp_path_factory.mktemp("desk")
    every = rows(160)
    write_csv(folder / "reviews.csv", [{"body": r["body"], "stars": r["stars"]} for r in every])
    write_csv(folder / "pile.csv", [{"body": f"{row['body']}, they said"} for row in every])
    pairs = [{"question": row["question"], "answer": row["answer"]} for row in every]
    write_csv(folder / "pairs.tsv", pairs, delimiter="\t")
    texts = [json.dumps({"sentence": row["sentence"]}) for row in every]
    (folder / "corpus.jsonl").write_text("\n".join(texts) + "\n", encoding="utf-8")
    bare = [{"body": f"{row['body']}, again"} for row in every[:60]]
    write_csv(folder / "texts.csv", bare)
    answers = [json.dumps({"text": row["body"], "label": "good"}) for row in bare]
    (folder / "answers.jsonl").write_text("\n".join(answers) + "\n", encoding="utf-8")
    sets = ([], ["joy"], ["fear"], ["joy", "fear"])
    posts = [json.dumps({"text": r["text"], "labels": sets[at % 4]}) for at, r in enumerate(every)]
    (folder / "posts.jsonl").write_text("\n".join(posts) + "\n", encoding="utf-8")
    for name in ("sets/glue/sst2", "sets/sst2", "sets/glue/rte", "sets/wiki_qa", "wikiqa"):
        write_csv(folder / name / "train.csv", every[:120])
        write_csv(folder / name / "validation.csv", every[120:])
    scored = [row | {"label": f"{at % 11 / 2}"} for at, row in enumerate(every)]
    write_csv(folder / "sets/glue/stsb/train.csv", scored[:120])
    write_csv(folder / "sets/glue/stsb/validation.csv", scored[120:])
    model = folder / "models" / "all-MiniLM-L6-v2"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}", encoding="utf-8")
    return folder


def in_small(words: tuple[str, ...]) -> list[str]:
    """The same command with the models and the steps of a test."""
    arguments = list(words[1:] if words[0] == "distill-run" else words[3:])
    two_stages = any("@pretrain" in one or "tmkd-*" in one for one in arguments)
    profile = TWO_STAGES if two_stages else DOCUMENTED
    profile = SHRUNK if "profile=tiny" in arguments else profile
    # A teacher of two steps is sure of nothing.
    unsure = ("method.min_confidence=0.5", "method.balance=false")
    more = unsure if "method=noisy_student" in arguments else ()
    return [*profile, *more, *(one for one in arguments if one != "profile=tiny")]


Answer = Callable[..., int]


@pytest.fixture
def typed(desk: Path, monkeypatch: pytest.MonkeyPatch) -> Answer:
    """Types a command at the desk, and returns its exit status."""
    monkeypatch.chdir(desk)
    return lambda *arguments: command(monkeypatch, *arguments, small=())


@pytest.mark.parametrize("printed", of_kind("run"))
def test_a_command_runs(printed: Printed, typed: Answer) -> None:
    assert typed(*in_small(printed.words)) == 0


@pytest.mark.parametrize("printed", of_kind("verb"))
def test_a_verb_of_distill_works(printed: Printed, desk: Path, typed: Answer) -> None:
    run = "outputs/shipped" if "outputs/shipped" in printed.words else "outputs/reviews"
    train = next(one for one in EVERY if f"output_dir={run}" in one.words)
    if not (desk / run / "result.json").exists():
        assert typed(*in_small(tuple(word for word in train.words if "dry_run" not in word))) == 0
    if "--cascade" in printed.words:
        assert distill(*carefree("cascade", run, "--lose", "5")).status == 0
    if "--output" in printed.words:  # another page's, which is not overwritten
        (desk / printed.words[printed.words.index("--output") + 1]).unlink(missing_ok=True)
    done = distill(*carefree(*printed.words[1:]))
    assert done.status == 0, done.err


def carefree(*words: str) -> list[str]:
    """The same words; the students of a test know nothing, so that more may be lost."""
    return ["60" if before == "--lose" else word for before, word in pairwise(("", *words))]


@pytest.mark.parametrize("printed", of_kind("search"))
def test_a_search_measures_its_students(
    printed: Printed, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    # What a machine that is slow today cannot meet, and what needs the packages of an extra.
    words = [one for one in printed.words[2:] if not one.startswith("budget.")]
    small = [*DOCUMENTED, *words, "frontier.onnx=false", "frontier.int8=false", "dry_run=true"]
    done = distill("frontier", *small, "frontier.layers=[1]")
    assert done.status == 0, done.err
    assert "Of 4 forms 4 fit." in done.out


@pytest.mark.parametrize("printed", of_kind("plugin"))
def test_a_command_for_a_plugin_passes_every_check_before_hydra(printed: Printed) -> None:
    # The plugins are not among the dependencies, and without them Hydra composes nothing.
    overrides, sweeping = arguments(printed.words[1:])
    assert sweeping
    check_typed_once(overrides)
    for one in overrides:
        check_not_added(one)
        assert parse_override(one, following=()).key_or_group


def test_the_four_commands_of_the_readme_end_in_predictions(
    typed: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = commands_of("README.md")
    (program,) = [one for one in readme if kind_of(one) == "program"]
    runs = [one for one in readme if "output_dir=outputs/reviews" in one.words]
    assert [typed(*in_small(one.words)) for one in runs] == [0, 0]
    capsys.readouterr()
    exec(program.words[2], {})
    assert capsys.readouterr().out.strip() in ("['good']", "['bad']")


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="distill-run[export] is not installed"
)
def test_the_commands_that_export_run_in_their_order(typed: Answer) -> None:
    readme = commands_of("README.md")
    run = next(one for one in readme if one.words[-1] == "output_dir=outputs/reviews")
    assert typed(*in_small(run.words)) == 0
    for printed in (one for one in commands_of("docs/exporting.md") if kind_of(one) == "export"):
        words = [str(ROOT / one) if one.startswith("examples/") else one for one in printed.words]
        if words[0] == "python":
            done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True)
            labels = [json.loads(line)["label"] for line in done.stdout.splitlines()]
            assert len(labels) == sum(" " in word for word in words)
            assert set(labels) <= {"bad", "good"}
            continue
        if "--push" in words:
            continue  # tests/export has a hub that takes it
        done_here = distill(*words[1:])
        assert done_here.status == 0, done_here.err
        assert "Export: outputs/" in done_here.out


@pytest.mark.slow
@pytest.mark.skipif(
    not all(map(find_spec, PACKAGES)), reason="distill-run[export] is not installed"
)
def test_the_way_from_a_csv_to_a_shipped_classifier_can_be_gone(typed: Answer, desk: Path) -> None:
    shutil.rmtree(desk / "outputs" / "shipped", ignore_errors=True)
    (desk / "labelled.csv").unlink(missing_ok=True)
    for printed in commands_of("docs/shipping.md"):
        if kind_of(printed) == "run":
            assert typed(*in_small(printed.words)) == 0
        elif printed.words[0] == "python":
            done = subprocess.run([sys.executable, *printed.words[1:]], capture_output=True)
            assert json.loads(done.stdout)["label"] in ("bad", "good")
        else:
            answer = distill(*carefree(*printed.words[1:]))
            assert answer.status == 0, answer.err
    with (desk / "labelled.csv").open(newline="") as file:
        assert {row["label"] for row in csv.DictReader(file)} <= {"bad", "good"}


@pytest.mark.parametrize("printed", of_kind("question"))
def test_a_question_is_answered(printed: Printed, desk: Path) -> None:
    words = [sys.executable, "-m", "distill_runner", *in_small(printed.words)[2:]]
    done = subprocess.run(words, cwd=desk, capture_output=True, text=True, check=True)
    assert done.stdout


@pytest.mark.parametrize("printed", of_kind("benchmark"))
def test_a_benchmark_takes_the_options(
    printed: Printed, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk)
    assert options.parse(printed.words[1:]).command in options.RACES


@pytest.mark.parametrize("printed", of_kind("script"))
def test_a_script_is_there_and_well_formed(printed: Printed) -> None:
    script = ROOT / printed.words[0]
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.stat().st_mode & 0o100


def test_the_quickstart_is_the_command_that_the_documentation_prints() -> None:
    script = (ROOT / "scripts" / "quickstart").read_text(encoding="utf-8")
    (typed,) = re.findall(r"^exec \.venv/bin/(distill-run .*) \"\$@\"$", script, re.MULTILINE)
    assert typed in {str(one) for one in commands_of("docs/index.md")}
