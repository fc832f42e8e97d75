"""Breaks the time of a step down by operation with torch's profiler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch.profiler import ProfilerActivity, profile

from benchmarks.children import task
from benchmarks.options import RACES, Options
from benchmarks.product import Product
from benchmarks.record import Report, percent
from benchmarks.setting import open_setting

# Groups of operations; all others are listed under their own name.
_KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"),
    "dropout masks": ("aten::random_", "aten::bernoulli_", "aten::ge"),
    "fused attention": (
        "aten::_scaled_dot_product_flash_attention_for_cpu",
        "aten::_scaled_dot_product_flash_attention_for_cpu_backward",
    ),
    "AdamW": ("aten::_fused_adamw_", "Optimizer.step#AdamW.step"),
    "GELU": ("aten::gelu", "aten::gelu_backward"),
    "LayerNorm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data", "aten::_safe_softmax"),
    "gradient norms": ("aten::linalg_vector_norm", "aten::norm"),
    "copies": ("aten::copy_", "aten::cat"),
    "zeroing": ("aten::fill_", "aten::zero_"),
    "sums": ("aten::sum",),
    "element by element": ("aten::add", "aten::add_", "aten::mul", "aten::mul_", "aten::where"),
}
_KIND_OF = {operation: kind for kind, members in _KINDS.items() for operation in members}
_LEAST = 0.01  # smallest share of a step that is listed; the others are summed


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Profile steps of every method, each method in its own process."""
    raw: dict[str, dict[str, float]] = {}
    for method in RACES:
        say(f"profiling {options.steps} steps of {method}")
        raw[method] = task("measure", options, method=method)
    shares = {method: by_kind(found) for method, found in raw.items()}
    kinds = sorted(set().union(*shares.values()), key=lambda kind: -shares["kd"].get(kind, 0.0))
    shown = [kind for kind in kinds if max(s.get(kind, 0.0) for s in shares.values()) >= _LEAST]
    rest = {m: 1 - sum(s.get(kind, 0.0) for kind in shown) for m, s in shares.items()}
    return Report(
        title=f"Where a step's time goes in {options.precision[0]}",
        columns=("", *raw),
        rows=[
            *([kind, *(percent(s.get(kind, 0.0)) for s in shares.values())] for kind in shown),
            ["all others", *(percent(rest[method]) for method in raw)],
        ],
        notes=(
            "Shares of the processor's time inside each operation, without the operations it "
            "calls. The profiler slows small operations more than large ones.",
        ),
        found={"raw": raw},
    )


def by_kind(seconds: Mapping[str, float]) -> dict[str, float]:
    """Return the share of each kind of operation in the total time, 0..1."""
    total = sum(seconds.values())
    kinds: defaultdict[str, float] = defaultdict(float)
    for operation, spent in seconds.items():
        kinds[_KIND_OF.get(operation, operation)] += spent / total
    return dict(kinds)


def measure(options: Options, folder: Path, *, method: str) -> dict[str, Any]:
    """Return the seconds inside each operation during one chunk of representative steps."""
    product = Product(open_setting(options, method), folder)
    warm, chunk = product.chunks(1, options.steps)
    product.step(warm)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        product.step(chunk)
    return {
        event.key: event.self_cpu_time_total / 1e6
        for event in profiler.key_averages()
        if event.self_cpu_time_total > 0
    }
