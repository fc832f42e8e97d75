"""The machine that settings and hardware determine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRETEND = """
import torch
torch.cuda.is_available = lambda: True
from distill_runner.runtime.machine import resolve_machine
from distill_runner.config.schema import Runtime
machine = resolve_machine(Runtime(deterministic=DETERMINISTIC))
print(machine.deterministic, torch.are_deterministic_algorithms_enabled(),
      torch.utils.deterministic.fill_uninitialized_memory, torch.cuda.is_initialized())
"""


def on_a_pretended_gpu(*, deterministic: bool, workspace: str | None = None) -> tuple[str, str]:
    """What a process prints that finds a GPU: settings of torch are the whole process's."""
    environment = {k: v for k, v in os.environ.items() if k != "CUBLAS_WORKSPACE_CONFIG"}
    environment |= {} if workspace is None else {"CUBLAS_WORKSPACE_CONFIG": workspace}
    code = PRETEND.replace("DETERMINISTIC", str(deterministic))
    code += "import os; print(os.environ['CUBLAS_WORKSPACE_CONFIG'])"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    return done.stdout, done.stderr


def test_a_gpu_is_set_to_be_deterministic_before_cuda_starts() -> None:
    assert on_a_pretended_gpu(deterministic=True)[0].split() == [
        *("True", "True", "False"),
        *("False", ":4096:8"),
    ]


def test_a_gpu_need_not_repeat_itself_where_that_was_asked() -> None:
    assert on_a_pretended_gpu(deterministic=False)[0].split()[:2] == ["False", "False"]


@pytest.mark.parametrize("workspace", [":16:8", ":0:0"])
def test_a_workspace_that_repeats_nothing_is_refused(workspace: str) -> None:
    printed, error = on_a_pretended_gpu(deterministic=True, workspace=workspace)
    assert (workspace in printed) == (workspace == ":16:8")
    assert ("Refused" in error) == (workspace == ":0:0")
