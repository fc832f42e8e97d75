"""The public interface: what may be imported by name, and what that costs."""

from __future__ import annotations

import subprocess
import sys

import distill_runner


def in_a_fresh_process(lines: str) -> str:
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_package_exports_a_run_a_student_and_their_errors() -> None:
    assert distill_runner.__all__ == [
        "DistillError", "Refused", "RunResult", "Student", "__version__", "load", "run",
    ]  # fmt: skip
    for name in distill_runner.__all__:
        assert getattr(distill_runner, name) is not None
        assert name in dir(distill_runner)


def test_importing_the_package_imports_nothing_else() -> None:
    said = in_a_fresh_process(
        "import sys, distill_runner; print([name for name in sys.modules if name in "
        "('torch', 'hydra', 'numpy', 'omegaconf') or name.startswith('distill_runner.')])"
    )
    assert said == "[]\n"


def test_a_name_that_is_not_exported_is_an_attribute_error() -> None:
    assert not hasattr(distill_runner, "distil")
