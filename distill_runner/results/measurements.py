"""The measurements other than scores: training, chance level, noise and speed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from distill_runner.results.scores import Difference


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a stage was trained."""

    epochs: Annotated[int, "passes over the training rows"]
    steps: Annotated[int, "optimiser steps"]
    kept_epoch: Annotated[int, "the epoch whose weights were kept, from 1"]
    wall_seconds: Annotated[float, "seconds spent on the steps, over all attempts"]
    examples_per_second: Annotated[float, "training rows per second of `wall_seconds`"]
    real_tokens_per_second: Annotated[float, "tokens without padding per second"]
    peak_memory_bytes: Annotated[int, "of the GPU; on a CPU of the whole process"]
    counts: Annotated[
        Mapping[str, int], "how the training rows were chosen, if the algorithm chose them"
    ]
    device: Annotated[str, "`cpu` or `cuda`"]
    machine: Annotated[str, "name of the GPU, or the CPU's architecture"]
    precision: Annotated[str, "`float32` or `bfloat16`"]


@dataclass(frozen=True, kw_only=True)
class AtChance:
    """Why a model counts as no better than chance."""

    split: Annotated[str, "the split it was judged on"]
    rows: Annotated[int, "rows of that split"]
    label: Annotated[str, "the verdict, as tables show it"]
    evidence: Annotated[str, "the figures behind the verdict, in words"]
    one_answer: Annotated[str | None, "the class that the model predicts for every row, if any"]


@dataclass(frozen=True, kw_only=True)
class NoiseScore:
    """Accuracy of every model on the test rows under one noise."""

    noise: Annotated[str, "kind of noise; `none` for the clean rows"]
    p: Annotated[float, "probability that a word is hit"]
    accuracy: Annotated[Mapping[str, float], "share of correct predictions, by model"]
    difference: Annotated[
        Difference | None, "student minus the model in `against`; null if there is none"
    ]


@dataclass(frozen=True, kw_only=True)
class Robustness:
    """Accuracy under noise; every model reads the same noisy text."""

    rows: Annotated[int, "test rows"]
    noise_seed: Annotated[int, "seed of the noise"]
    models: Annotated[tuple[str, ...], "the models in the order of the table"]
    against: Annotated[str | None, "the model that the student is compared with"]
    scores: Annotated[tuple[NoiseScore, ...], "the clean rows first, then every noise"]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast a model predicts, without tokenisation."""

    milliseconds: Annotated[float, "median time for one text, in ms"]
    texts_per_second: Annotated[float, "texts per second in batches"]


@dataclass(frozen=True, kw_only=True)
class ModelLatency(Speed):
    """A model's size and speed."""

    parameters: Annotated[int, "number of weights"]


@dataclass(frozen=True, kw_only=True)
class LatencyComparison:
    """The student compared with its first teacher."""

    name: Annotated[str, "the teacher"]
    fewer_parameters: Annotated[float, "share of the teacher's parameters that the student saves"]
    less_time: Annotated[float, "share of the teacher's time for one text that the student saves"]
    times_as_fast: Annotated[float, "teacher's time for one text divided by the student's"]
    kept: Annotated[
        float | None,
        "student's primary metric on test divided by the teacher's; null if the teacher's is not "
        "above 0",
    ]


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Speed of teachers and student, measured in turns on the same rows."""

    device: Annotated[str, "name of the GPU, or the CPU's architecture"]
    threads: Annotated[int, "CPU threads"]
    models: Annotated[Mapping[str, ModelLatency], "by model"]
    against: Annotated[LatencyComparison | None, "null without teachers"]
