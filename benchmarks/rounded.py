"""Emulates bfloat16 on a processor without its instructions: `python -m … CONFIGURATION`.

Such a processor multiplies bfloat16 matrices many times more slowly than float32 ones, too slowly
for training. A product of bfloat16 matrices equals the float32 product of the same numbers,
rounded once at the end. This module computes that float32 product and rounds it. Use it only to
measure accuracy: it does not show bfloat16's speed.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

_aten = torch.ops.aten


def _mm(left: Tensor, right: Tensor) -> Tensor:
    wide = _wide(left)
    out = left.new_empty(left.shape[0], right.shape[1], dtype=wide)
    return _narrow(_aten.mm.out(left.to(wide), right.to(wide), out=out), left)


def _bmm(left: Tensor, right: Tensor) -> Tensor:
    wide = _wide(left)
    out = left.new_empty(*left.shape[:2], right.shape[2], dtype=wide)
    return _narrow(_aten.bmm.out(left.to(wide), right.to(wide), out=out), left)


def _addmm(
    bias: Tensor, left: Tensor, right: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    wide = _wide(left)
    out = left.new_empty(left.shape[0], right.shape[1], dtype=wide)
    given = (part.to(wide) for part in (bias, left, right))
    return _narrow(_aten.addmm.out(*given, beta=beta, alpha=alpha, out=out), left)


def _wide(given: Tensor) -> torch.dtype:
    return torch.float32 if given.dtype is torch.bfloat16 else given.dtype


def _narrow(product: Tensor, like: Tensor) -> Tensor:
    return product.to(like.dtype)


def install() -> torch.library.Library:
    """Replace bfloat16 products by float32 ones for as long as the result is referenced."""
    library = torch.library.Library("aten", "IMPL")  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns about replaced kernels
        for name, product in (("mm", _mm), ("bmm", _bmm), ("addmm", _addmm)):
            library.impl(name, product, "CPU")  # type: ignore[no-untyped-call]
    return library


if __name__ == "__main__":
    from distill_runner.cli import main

    kept = install()
    main()
