"""Measures the share of the processor's rate spent on necessary arithmetic, and the overheads."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.children import task
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.record import Report, percent
from benchmarks.sampling import Batch
from benchmarks.setting import open_setting
from distill_runner.data.encoding import Encoding
from distill_runner.models.architecture.layers import layers_of
from distill_runner.models.learner import Learner
from distill_runner.training import optim

_METHODS = ("finetune", "kd")
_PIECES = ("data", "forward", "backward", "optimiser")
# A square product, and a feed-forward block's product over a batch of short sentences.
_PRODUCTS = ((1024, 1024, 1024), (448, 384, 1536))
_TRIES = 20


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Measure a step of fine-tuning and one of distillation."""
    raw: dict[str, Any] = {}
    for method in _METHODS:
        say(f"timing the pieces of a {method} step")
        raw[method] = task("measure", options, method=method)
    rows = []
    for method, found in raw.items():
        best = max(found["matmul_flops_per_second"].values())
        rounds = found["rounds"]
        whole = sum(turn["seconds"] for turn in rounds)
        needed = sum(turn["needed_flops"] for turn in rounds) / whole
        pieces = [sum(turn["pieces"][piece] for turn in rounds) for piece in _PIECES]
        rows.append(
            [
                method,
                f"{1000 * whole / (len(rounds) * options.steps):.1f}",
                *(percent(piece / whole) for piece in pieces),
                percent(max(0.0, 1 - sum(pieces) / whole)),
                f"{best / 1e9:.0f}",
                percent(needed / best),
            ]
        )
    return Report(
        title=f"One optimiser step in {options.precision[0]}, and its useful share",
        columns=(
            "",
            "step ms",
            *_PIECES,
            "the rest",
            "matmul GFLOP/s",
            "needed",
        ),
        rows=rows,
        notes=(
            "Needed: arithmetic with the weights outside the embeddings, on unpadded tokens, as a "
            "share of the best matrix product in the same process; a backward pass counts as two "
            "forward passes. The last layer, the pooler and the head count for the first token "
            "only. Products of attention and the embedding table are left out.",
        ),
        found={"raw": raw},
    )


def measure(options: Options, folder: Path, *, method: str) -> dict[str, Any]:
    """Time each part of representative steps, in several rounds."""
    product = Product(open_setting(options, method), folder)
    bf16 = options.precision[0] == "bfloat16"
    clock = Stopwatch()
    _instrument(product, clock)
    chunks = product.chunks(options.rounds, options.steps)
    product.step(chunks[0])
    rounds = []
    for batches in chunks[1:]:
        clock.seconds.clear()
        began = time.perf_counter()
        product.step(batches)
        seconds = time.perf_counter() - began
        pieces = {name: clock.seconds[name] for name in _PIECES}
        rounds.append({"seconds": seconds, "pieces": pieces, **_flops(product.student, batches)})
    return {"rounds": rounds, "matmul_flops_per_second": matmul_rates(bf16=bf16)}


class Stopwatch:
    """Measures seconds inside named functions, without nested named functions."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self._inner.append(0.0)
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                whole = time.perf_counter() - began
                self.seconds[name] += whole - self._inner.pop()
                self._inner[-1] += whole

        return call


def _instrument(product: Product, clock: Stopwatch) -> None:
    """Time the parts of a step; a CPU call returns only when its work is done."""
    optimizers = list(product.loop.optimizers.values())
    for owner, attribute, piece in (
        (Encoding, "inputs", "data"),
        (product.teachers, "logits", "data"),
        (product.student, "logits", "forward"),
        (torch.autograd, "backward", "backward"),
        (optim, "step", "optimiser"),
        *((optimizer, "step", "optimiser") for optimizer in optimizers),
        *((optimizer, "zero_grad", "optimiser") for optimizer in optimizers),
    ):
        setattr(owner, attribute, clock.timed(piece, getattr(owner, attribute)))


def _flops(student: Learner, batches: list[Batch]) -> dict[str, float]:
    tokens = sum(batch.tokens for batch in batches)
    rows = sum(len(batch.rows) for batch in batches)
    everywhere, once = weights_by_use(student)
    return {"needed_flops": 6.0 * (tokens * everywhere + rows * once)}


def weights_by_use(student: Learner) -> tuple[int, int]:
    """Count the weights outside the embeddings: those used by every token, and once per row.

    The logits are computed from the first token, so the last layer is needed only there, even
    its keys and values (`models.fast.first_token`).
    """
    module: Any = student.module
    below_the_last = {id(w) for layer in layers_of(module)[:-1] for w in layer.parameters()}
    embeddings = {id(weight) for weight in module.base_model.embeddings.parameters()}
    everywhere = once = 0
    for weight in module.parameters():
        if id(weight) in below_the_last:
            everywhere += weight.numel()
        elif id(weight) not in embeddings:
            once += weight.numel()
    return everywhere, once


def matmul_rates(*, bf16: bool) -> dict[str, float]:
    """Return the best rate of each of a few matrix products on this machine, in FLOP/s."""
    dtype = torch.bfloat16 if bf16 else torch.float32
    rates = {}
    for m, k, n in _PRODUCTS:
        left, right = torch.randn(m, k, dtype=dtype), torch.randn(k, n, dtype=dtype)
        best = float("inf")
        for _ in range(_TRIES):
            began = time.perf_counter()
            left @ right
            best = min(best, time.perf_counter() - began)
        rates[f"{m}x{k}x{n}"] = 2.0 * m * k * n / best
    return rates
