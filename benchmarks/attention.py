"""Times training steps under torch's fused attention and under the plain product, in turns.

Both make the same steps on the same batches, so the ratio of a round is one of equal work. The
gradient is wanted in every pass, which is where the two differ.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.children import task
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.record import Report, times
from benchmarks.sampling import Batch
from benchmarks.scale import long_rows
from benchmarks.setting import open_setting
from distill_runner.models.fast import attention


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Measure each number format on the data's own rows and on long ones."""
    raw, rows = {}, []
    for precision in options.precision:
        for length in (0, *options.lengths):
            one = replace(options, precision=(precision,), max_tokens=length or options.max_tokens)
            found = raw[f"{precision}, {length}"] = task("measure_paths", one, long=bool(length))
            ratios = found["ratios"]
            rows.append(
                [
                    f"{precision}, {found['tokens']:.0f} tokens a row",
                    *(f"{1000 * found[path]:.0f}" for path in ("fused", "plain")),
                    f"{times(found['ratio'])} [{times(min(ratios))}, {times(max(ratios))}]",
                ]
            )
            say(" ".join(rows[-1]))
    return Report(
        title=f"{options.method}: one optimiser step of {options.steps * options.rounds}, in ms",
        columns=("", "fused", "plain", "plain is faster by [min, max]"),
        rows=rows,
        notes=("The ratio is the median over the rounds; in brackets, the rounds' range.",),
        found={"raw": raw},
    )


def measure_paths(options: Options, folder: Path, *, long: bool) -> dict[str, Any]:
    """Time the same chunks of steps on both paths, in an order that alternates."""
    extra = long_rows(options, folder) if long else ()
    scratch = Path(tempfile.mkdtemp(dir=folder))
    precision = f"runtime.precision={options.precision[0]}"
    product = Product(open_setting(options, options.method, precision, *extra), scratch)
    chunks = product.chunks(options.rounds, options.steps)
    for plain in (False, True):
        _seconds(product, chunks[0], plain=plain)
    turns = []
    for number, batches in enumerate(chunks[1:]):
        order = (False, True) if number % 2 else (True, False)
        turns.append({plain: _seconds(product, batches, plain=plain) for plain in order})
    each = {plain: np.array([turn[plain] for turn in turns]) for plain in (False, True)}
    ratios = (each[False] / each[True]).tolist()
    return {
        "tokens": float(product.lengths.mean()),
        "fused": float(each[False].mean()) / options.steps,
        "plain": float(each[True].mean()) / options.steps,
        "ratios": ratios,
        "ratio": float(np.median(ratios)),
    }


def _seconds(product: Product, batches: list[Batch], *, plain: bool) -> float:
    with _attention(plain=plain):
        began = time.perf_counter()
        product.step(batches)
        return time.perf_counter() - began


@contextmanager
def _attention(*, plain: bool) -> Iterator[None]:
    """Make every pass with a gradient take one of the paths, inside the block."""
    before = attention.PLAIN_WITH_GRADIENT
    formats = frozenset({torch.float32, torch.bfloat16}) if plain else frozenset[torch.dtype]()
    attention.PLAIN_WITH_GRADIENT = formats
    try:
        yield
    finally:
        attention.PLAIN_WITH_GRADIENT = before
