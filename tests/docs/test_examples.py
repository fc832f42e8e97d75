"""The worked examples of docs/extend work: their files, put into a copy of the project, pass."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs" / "extend").glob("*.md"))
_TITLED = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.DOTALL | re.MULTILINE)


def apply(edit: str, text: str) -> str:
    """The text after a diff whose unchanged lines stand in it once.

    Raises:
        AssertionError: they stand there never, or more than once.
    """
    lines = edit.splitlines(keepends=True)
    before = "".join(line[1:] for line in lines if line[0] != "+")
    after = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(before) == 1, before
    return text.replace(before, after)


def add_example(page: Path, project: Path) -> list[str]:
    """Puts a page's files into the project; returns those that are tests."""
    tests = []
    for language, name, content in _TITLED.findall(page.read_text(encoding="utf-8")):
        path = project / name
        if language == "diff":
            path.write_text(apply(content, path.read_text(encoding="utf-8")), encoding="utf-8")
            continue
        assert not path.exists(), f"{name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        if name.startswith("tests/"):
            tests.append(name)
    return tests


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the examples add to."""
    copy = tmp_path_factory.mktemp("project")
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("distill_runner", "conf", "tests/support", "tests/conf"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in ("tests/conftest.py", "tests/test_contract.py"):
        shutil.copy(ROOT / name, copy / name)
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def run_tests(project: Path, *arguments: str) -> None:
    environment = os.environ | {"PYTHONPATH": f"{project}{os.pathsep}{project / 'tests'}"}
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(words, cwd=project, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_worked_examples_pass_their_tests(project: Path) -> None:
    tests = [name for page in PAGES for name in add_example(page, project)]
    assert len(tests) == len(PAGES)  # each example has one
    run_tests(project, *tests)


@pytest.mark.slow
def test_the_added_method_keeps_the_promises_of_every_method(project: Path) -> None:
    for page in PAGES:
        if not (project / "conf/method/reverse_kl.yaml").exists():
            add_example(page, project)
    run_tests(project, "tests/test_contract.py", "-k", "reverse_kl")
