"""Distillation algorithms: one class each, written like the algorithm boxes of the papers.

To add a method, subclass `Algorithm`: its fields are the keys of its YAML, and its
`updates(batch)` yields one `Update` per role.

Imports config, data, models, objectives, planning, runtime and tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_runner.exports import lazy_attributes

if TYPE_CHECKING:
    from distill_runner.methods.base import (
        Algorithm,
        Attachment,
        Needs,
        NothingToLearn,
        OfferedRows,
        OptimizerSettings,
        Passes,
        Pool,
        RowChoice,
        StartingStudent,
        Update,
        require,
    )
    from distill_runner.methods.batch import Batch

__all__ = [
    "Algorithm",
    "Attachment",
    "Batch",
    "Needs",
    "NothingToLearn",
    "OfferedRows",
    "OptimizerSettings",
    "Passes",
    "Pool",
    "RowChoice",
    "StartingStudent",
    "Update",
    "require",
]

__getattr__ = lazy_attributes(
    __name__, {name: "batch" if name == "Batch" else "base" for name in __all__}
)
