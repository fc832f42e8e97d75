"""The machine as the settings and the hardware leave it."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import dataclass

import torch

from distill_runner.config.schema import Device, Precision, Runtime
from distill_runner.errors import Refused
from distill_runner.runtime.allocator import keep_freed_memory

_VERSIONS = ("torch", "transformers", "datasets", "evaluate", "hydra-core", "numpy")


@dataclass(frozen=True)
class Machine:
    """Where the work is done."""

    device: torch.device
    bf16: bool
    deterministic: bool = False  # on a GPU; a CPU's kernels are so anyway

    @property
    def precision(self) -> str:
        return "bfloat16" if self.bf16 else "float32"

    @property
    def name(self) -> str:
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return platform.processor() or platform.machine()


def resolve_machine(runtime: Runtime) -> Machine:
    """Choose device and precision, and set torch's threads and the allocator.

    Automatic precision is bfloat16 on a GPU and float32 on a CPU. Call it before CUDA starts.

    Raises:
        Refused: a GPU is asked for and there is none.
    """
    # cuBLAS reads it when CUDA starts.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if runtime.keep_freed_memory:
        keep_freed_memory()
    if runtime.threads > 0:
        torch.set_num_threads(runtime.threads)
    gpu = torch.cuda.is_available()
    if runtime.device is Device.cuda and not gpu:
        raise Refused(
            "No GPU is to be seen from here.",
            key="runtime.device",
            value="cuda",
            rule="a CUDA device and a torch built for it",
            way_out="runtime.device=auto",
        )
    device = torch.device("cuda" if gpu and runtime.device is not Device.cpu else "cpu")
    deterministic = runtime.deterministic and device.type == "cuda"
    if deterministic:
        _repeat_to_the_bit()
    automatic = runtime.precision is Precision.auto and device.type == "cuda"
    bf16 = automatic or runtime.precision is Precision.bfloat16
    return Machine(device, bf16=bf16, deterministic=deterministic)


def _repeat_to_the_bit() -> None:
    """Let torch choose GPU kernels that give the same bits every time, or raise.

    Raises:
        Refused: cuBLAS was told to use a workspace that does not.
    """
    workspace = os.environ["CUBLAS_WORKSPACE_CONFIG"]
    if workspace not in (":4096:8", ":16:8"):
        raise Refused(
            "cuBLAS does not repeat itself with this workspace.",
            key="CUBLAS_WORKSPACE_CONFIG",
            value=workspace,
            rule=":4096:8 or :16:8 under runtime.deterministic=true",
            way_out="unset CUBLAS_WORKSPACE_CONFIG, or runtime.deterministic=false",
        )
    torch.use_deterministic_algorithms(True)
    # Filling every fresh tensor is for finding bugs, and costs a launch each.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def share_cores(processes: int) -> None:
    """Use a share of the cores, as long as so many processes compute side by side."""
    torch.set_num_threads(max(1, cores() // processes))


def cores() -> int:
    """How many of the CPU's cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of Python and of the packages that a figure may depend on."""
    found = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return {"python": platform.python_version(), **found}
