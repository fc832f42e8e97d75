"""The identity of a stage: every fact that determines its weights and its scores.

Stages with equal identities share one artifact in the store. Everything else is irrelevant: the
names of stages, their place in the plan, the module of an algorithm's class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill_runner.config.schema import BuiltModel, Noise, Training
from distill_runner.planning.stages import Combination

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm

# Raise it when a code change makes equal identities lead to other weights or scores.
RECIPE = 6


@dataclass(frozen=True)
class ModelIdentity:
    """The content of a model's folder, or how a model is built here."""

    content: str | None  # fingerprint of the folder's files; None for a model built here
    built: BuiltModel | None
    built_from: str | None  # fingerprint of the training texts whose words its tokenizer knows
    built_for: int | None  # the longest text that it can read, in tokens
    layers: tuple[int, ...] | None


@dataclass(frozen=True)
class WeightsIdentity:
    """The weights of a learner before its stage."""

    kind: str  # of the `Initialisation`
    model: ModelIdentity
    seed: int  # of the head, and of all weights of a random start
    output_names: tuple[str, ...] | None  # of a classifier that is used as it is
    earlier: str | None  # key of the stage whose student or layers are copied
    fresh_head: bool
    unchanged_teacher: WeightsIdentity | None  # whose layers are copied from before its stage


@dataclass(frozen=True)
class RowsIdentity:
    """The rows that a stage trains on, and those that it is scored on."""

    trained_on: tuple[str, ...]  # names of splits
    fingerprints: Mapping[str, str]  # of each split that affects the stage
    max_tokens: int
    outputs: tuple[str, ...]  # classes in order; empty if the stage does not read the task
    noise: Noise | None


@dataclass(frozen=True)
class NumericsIdentity:
    """The properties of the machine that change the last digits."""

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
    """Everything that determines the artifact of a stage."""

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
