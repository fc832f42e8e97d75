"""Chooses device, precision and threads from the settings and the hardware."""

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
    """The device and the precision that a run computes with."""

    device: torch.device
    bf16: bool
    deterministic: bool = False  # GPU only; CPU kernels are always deterministic

    @property
    def precision(self) -> str:
        """The number format: "bfloat16" or "float32"."""
        return "bfloat16" if self.bf16 else "float32"

    @property
    def name(self) -> str:
        """The name of the GPU or of the processor."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        return platform.processor() or platform.machine()


def resolve_machine(runtime: Runtime) -> Machine:
    """Choose device and precision, and set torch's threads and the allocator.

    Automatic precision is bfloat16 on a GPU and float32 on a CPU. Must be called before CUDA
    is initialised.

    Raises:
        Refused: `runtime.device=cuda` and no CUDA device is available.
    """
    # cuBLAS reads this variable once, when CUDA is initialised.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    if runtime.keep_freed_memory:
        keep_freed_memory()
    if runtime.threads > 0:
        torch.set_num_threads(runtime.threads)
    gpu = torch.cuda.is_available()
    if runtime.device is Device.cuda and not gpu:
        raise Refused(
            "No CUDA device is available.",
            key="runtime.device",
            value="cuda",
            rule="a CUDA device, and a build of torch that supports it",
            way_out="runtime.device=auto",
        )
    device = torch.device("cuda" if gpu and runtime.device is not Device.cpu else "cpu")
    deterministic = runtime.deterministic and device.type == "cuda"
    if deterministic:
        _use_deterministic_kernels()
    automatic = runtime.precision is Precision.auto and device.type == "cuda"
    bf16 = automatic or runtime.precision is Precision.bfloat16
    return Machine(device, bf16=bf16, deterministic=deterministic)


def _use_deterministic_kernels() -> None:
    """Restrict torch to GPU kernels that repeat bit for bit; torch raises if there is none.

    Raises:
        Refused: the environment sets a cuBLAS workspace that is not deterministic.
    """
    workspace = os.environ["CUBLAS_WORKSPACE_CONFIG"]
    if workspace not in (":4096:8", ":16:8"):
        raise Refused(
            "cuBLAS is not deterministic with this workspace.",
            key="CUBLAS_WORKSPACE_CONFIG",
            value=workspace,
            rule=":4096:8 or :16:8 under runtime.deterministic=true",
            way_out="unset CUBLAS_WORKSPACE_CONFIG, or runtime.deterministic=false",
        )
    torch.use_deterministic_algorithms(True)
    # Filling uninitialised tensors helps debugging only, and costs a kernel launch per tensor.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def share_cores(processes: int) -> None:
    """Limit torch to this process's share of the cores while `processes` run in parallel."""
    torch.set_num_threads(max(1, cores() // processes))


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that results may depend on."""
    found = {name: importlib.metadata.version(name) for name in _VERSIONS}
    return {"python": platform.python_version(), **found}
