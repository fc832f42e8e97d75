"""What identifies a stage: everything that decides its weights and its scores, field by field.

Stages with equal identities share one artifact in the store. What is no field here decides
nothing: the names of stages, their place in the plan, the module of an algorithm's class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.config.schema import BuiltModel, Noise, Training
from distill_runner.planning.stages import Combination

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

# Raise it when a change of the code changes what equal identities lead to.
RECIPE = 6


@dataclass(frozen=True)
class ModelIdentity:
    """The content of a model's folder, or how a model is built here."""

    content: str | None  # fingerprint of the folder's files; None for a model built here
    built: BuiltModel | None
    built_from: str | None  # fingerprint of the training texts whose words its tokenizer knows
    built_for: int | None  # the tokens that it can read
    layers: tuple[int, ...] | None


@dataclass(frozen=True)
class WeightsIdentity:
    """The weights of a learner before its stage."""

    kind: str  # of the `Initialisation`
    model: ModelIdentity
    seed: int  # draws the head, and all weights of a random start
    output_names: tuple[str, ...] | None  # of a classifier that is used as it is
    earlier: str | None  # key of the stage whose student or whose layers are read
    fresh_head: bool
    unchanged_teacher: WeightsIdentity | None  # gives its layers as they were before its stage


@dataclass(frozen=True)
class RowsIdentity:
    """The rows that a stage trains on, and those that it is scored on."""

    trained_on: tuple[str, ...]  # names of splits
    fingerprints: Mapping[str, str]  # of each split that decides anything
    max_tokens: int
    outputs: tuple[str, ...]  # classes in order; none where the task decides nothing
    noise: Noise | None


@dataclass(frozen=True)
class NumericsIdentity:
    """What of the machine and its settings changes the last digits."""

    device: str
    precision: str
    deterministic: bool
    compiled: bool
    first_token_only: bool
    cut_vocabulary: bool
    leave_padding_out: bool
    cheap_dropout: bool


@dataclass(frozen=True)
class StageIdentity:
    """Everything that decides what a stage leaves in the store."""

    recipe: int
    algorithm: str  # the id that the algorithm's class declares
    settings: Algorithm
    weights: WeightsIdentity
    teachers: tuple[str, ...]  # keys of their stages
    combination: Combination
    language_teacher: WeightsIdentity | None
    rows: RowsIdentity
    training: Training
    selected_by: str | None  # the metric that chooses the epoch
    seed: int
    first_epoch: int
    numerics: NumericsIdentity
