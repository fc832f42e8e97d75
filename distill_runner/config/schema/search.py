"""The settings of `distill frontier`; `distill-run` reads none of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

from distill_runner.config.schema.rules import ABOVE_0, AT_LEAST_1, LEARNING_RATE, Range, rule


@dataclass
class Budget:
    """The most that a student may need to answer; read by `distill frontier`."""

    # milliseconds for one text at a time on one thread, tokenising included, the 95th percentile;
    # null: no limit
    ms: Optional[float] = field(default=None, metadata=ABOVE_0)
    # megabytes (10^6 bytes) of all files that answering needs; null: no limit
    mb: Optional[float] = field(default=None, metadata=ABOVE_0)


@dataclass
class Frontier:
    """The students that `distill frontier` tries, and how it judges them."""

    # points of the primary metric that a student may lie below the teachers together and still
    # count as no worse
    margin: float = field(
        default=1.0,
        metadata=rule(
            Range("above 0 and below 100", high=100, low_open=True, high_open=True),
        ),
    )
    # numbers of transformer layers: so many of the lowest layers of student.model
    layers: list[int] = field(default_factory=lambda: [1, 2, 3, 6], metadata=AT_LEAST_1)
    # a student without layers too: word embeddings, averaged, under a small head
    static: bool = True
    # AdamW's learning rate of the student without layers; training.learning_rate is the others'
    static_learning_rate: float = field(default=1.0e-3, metadata=LEARNING_RATE)
    # limits of tokens to try, each with every student; null: dataset.max_tokens
    max_tokens: Optional[list[int]] = field(default=None, metadata=AT_LEAST_1)
    # each student with its vocabulary cut to the texts that it learns from, too
    vocabulary_cut: bool = True
    # each student as an ONNX file in float32, too; needs distill-run[export]
    onnx: bool = True
    # each student as an ONNX file in 8-bit integers, too; needs distill-run[export]
    int8: bool = True
    # rounds of training: each gives three times the steps of the one before, and after each the
    # students that validation shows to be worse than a cheaper one are dropped; 1: no round
    # before the full training
    rungs: int = field(default=3, metadata=rule(Range("1..6", low=1, high=6)))
