"""Distillation algorithms, one class each, as in the papers' algorithm boxes.

A method of one's own is a subclass of `Algorithm`: its fields are its YAML's keys, and its
`updates(batch)` yields an `Update` for each role.

Imports models, objectives, data and below.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_runner.exports import lazy_attributes

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm, Needs, OptimizerSettings, Update, require
    from distill_runner.methods.batch import Batch

__all__ = ["Algorithm", "Batch", "Needs", "OptimizerSettings", "Update", "require"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "Algorithm": "base",
        "Needs": "base",
        "OptimizerSettings": "base",
        "Batch": "batch",
        "Update": "base",
        "require": "base",
    },
)
