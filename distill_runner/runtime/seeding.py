"""Derives seeds from places: each draw depends on its place in the run, not on earlier draws.

A resumed run therefore needs no generator state, and any step can be replayed alone.
"""

from __future__ import annotations

import hashlib

import numpy as np


def seed_at(*parts: int | str) -> int:
    """Return a 63-bit seed for the place named by `parts`, such as (seed, "order", epoch)."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator_at(*parts: int | str) -> np.random.Generator:
    """Return a NumPy generator for the place named by `parts`."""
    return np.random.default_rng(seed_at(*parts))
