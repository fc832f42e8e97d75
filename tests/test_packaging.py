"""Every import is declared, and a source distribution has everything that a checkout needs."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# What the peers of a benchmark need is installed by that benchmark, into a place of its own.
APART = {"accelerate", "textbrewer"}
OF_THE_EXTRAS = {"optuna", "onnx", "onnxruntime"}  # hydra-optuna-sweeper brings optuna


def imported(folder: Path) -> set[str]:
    """The top level of every module that the folder's files import, wherever they do."""
    found = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"distill_runner"} - APART - OF_THE_EXTRAS


def declared() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = [re.match(r"[\w-]+", line) for line in project["dependencies"]]
    return {name[0].lower() for name in names if name}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    homes = packages_distributions()
    found = {homes[name][0].lower().replace("_", "-") for name in imported(ROOT / "distill_runner")}
    assert found == declared()


def test_every_folder_of_the_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [path.parent.relative_to(ROOT) for path in ROOT.glob("distill_runner/**/__init__.py")]
    outside = ["distill_runner.conf", "distill_runner.examples"]
    assert sorted(listed) == sorted([*outside, *(".".join(f.parts) for f in folders)])


def test_a_score_imports_no_evaluators() -> None:
    lines = (
        "import sys; from distill_runner.evaluation.metrics.classes import class_metrics; "
        "from distill_runner.config.schema import Metric; "
        "print(class_metrics().compute(predictions=[0, 1], references=[1, 1], "
        "classes=2, names=[Metric.accuracy]), 'evaluate' in sys.modules, "
        "'transformers' in sys.modules); import evaluate; print(evaluate.Metric.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.split("\n")[:2] == ["{'accuracy': 0.5} False False", "evaluate.module"]


def test_the_source_distribution_holds_tests_scripts_and_lock(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="setuptools makes the distribution")
    checkout = tmp_path / "checkout"
    apart = ("outputs", "build", "dist", "multirun", "wandb", "site", ".git", ".venv", ".*_cache")
    ignored = shutil.ignore_patterns(*apart, "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, checkout, ignore=ignored)
    given = {str(file.relative_to(checkout)) for file in checkout.rglob("*") if file.is_file()}
    build = "import sys; from setuptools import build_meta; build_meta.build_sdist(sys.argv[1])"
    made = [sys.executable, "-c", build, str(tmp_path)]
    subprocess.run(made, cwd=checkout, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    assert given - held == set()
    wanted = {
        "tests/support/tiny.py",
        "tests/conf/profile/shrunk.yaml",
        "CHANGELOG.md",
        "scripts/setup",
    }
    assert wanted | {"requirements.lock", "conf/config.yaml"} <= held
