"""`distill-run` itself: help, version, pipes, interrupts, and nothing but its own lines."""

from __future__ import annotations

import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from support.tiny import SHRUNK

from distill_runner import __version__

DISTILL_RUN = [sys.executable, "-P", "-m", "distill_runner"]
# Of what only a run needs; each of them costs more than all of help's answer.
HEAVY = ("torch", "transformers", "datasets", "pyarrow", "numpy", "rich")


def answer(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DISTILL_RUN, *words], capture_output=True, text=True, cwd=cwd)


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__
    asked = answer("--version")
    assert (asked.returncode, asked.stdout) == (0, f"distill-run {__version__}\n")
    assert asked.stderr == ""


@pytest.mark.parametrize("word", ["--help", "-h", "help", "-help"])
def test_help_names_groups_options_and_flags(word: str, tmp_path: Path) -> None:
    asked = answer(word, cwd=tmp_path)
    assert (asked.returncode, asked.stderr) == (0, "")
    for named in ("born_again", "bert+roberta", "--version", "--cfg job", "-m"):
        assert named in asked.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["--help", "--version", "lr=1e-4"])
def test_an_answer_without_a_run_imports_nothing_heavy(words: str) -> None:
    script = (
        "import sys\nfrom distill_runner.cli import main\n"
        f"sys.argv = ['distill-run', {words!r}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert asked.stderr.splitlines()[-1] == "[]"


def test_a_reader_that_leaves_early_is_no_traceback() -> None:
    for words in (["--help"], ["--cfg", "job"]):
        with subprocess.Popen(
            [*DISTILL_RUN, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as asked:
            assert asked.stdout is not None
            assert asked.stderr is not None
            asked.stdout.close()
            assert asked.stderr.read() == b""
            assert asked.wait() == 141


def test_an_interrupt_while_hydra_composes_is_one_line() -> None:
    script = (
        "import hydra._internal.utils as hydra, os, signal, sys\nfrom distill_runner import cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's & ignores it
        "def run(**_):\n    os.kill(os.getpid(), signal.SIGINT)\n"
        "hydra._run_hydra = run\nsys.argv = ['distill-run', 'profile=tiny']\ncli.main()\n"
    )
    asked = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert asked.returncode == 128 + signal.SIGINT
    assert asked.stderr == "distill-run: interrupted; run the same command again to continue\n"


@pytest.mark.parametrize("method", ["kd", pytest.param("tmkd", marks=pytest.mark.slow)])
def test_a_run_with_a_helper_prints_nothing_but_its_own_lines(method: str, tmp_path: Path) -> None:
    asked = answer(
        *SHRUNK,
        f"method={method}",
        *("teacher=bert+roberta", "runtime.processes=2", "output_dir=out", "store.dir=store"),
        cwd=tmp_path,
    )
    assert asked.returncode == 0, asked.stderr
    assert asked.stderr == ""
    for foreign in ("Warning", "resource_tracker", "Exception ignored", "Errno"):
        assert foreign not in asked.stdout
