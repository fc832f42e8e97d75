"""The public interface: names that may be imported, and the time that takes."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import distill_runner
from distill_runner import methods, objectives


def in_a_fresh_process(lines: str) -> str:
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


PUBLIC = {
    distill_runner: "DistillError Refused RunResult Student __version__ load run",
    methods: "Algorithm Attachment Batch Needs NothingToLearn OfferedRows OptimizerSettings Passes "
    "Pool RowChoice StartingStudent Update require",
    objectives: "cosine_distance cross_entropy kl logit_mean masked_word_loss prob_mean "
    "soft_loss squared_error token_kl",
}


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_a_package_exports_its_public_names(package: ModuleType) -> None:
    assert package.__all__ == PUBLIC[package].split()
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_importing_the_package_imports_nothing_else() -> None:
    said = in_a_fresh_process(
        "import sys, distill_runner; print([name for name in sys.modules if name in "
        "('torch', 'hydra', 'numpy', 'omegaconf') or name.startswith('distill_runner.')])"
    )
    assert said == "['distill_runner.exports']\n"


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    assert not hasattr(distill_runner, "distil")
