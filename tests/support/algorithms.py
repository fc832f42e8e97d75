"""Algorithms with the settings of their YAML, except those that a test overrides."""

from __future__ import annotations

from functools import cache
from typing import TypeVar, cast

from omegaconf import DictConfig, OmegaConf

from distill_runner.methods.base import Algorithm
from distill_runner.methods.construct import make_algorithm
from distill_runner.methods.distilbert import TripleLoss
from distill_runner.methods.kd import KD
from distill_runner.methods.metadistil import MetaDistil
from distill_runner.methods.mutual import Mutual
from distill_runner.methods.noisy_student import NoisyStudent
from distill_runner.methods.tmkd import SoftHeads
from support.tiny import composed

A = TypeVar("A", bound=Algorithm)

# The method and the stage whose YAML has an algorithm's defaults.
STAGES: dict[type[Algorithm], tuple[str, str]] = {
    KD: ("kd", "kd"),
    MetaDistil: ("metadistil", "metadistil"),
    Mutual: ("mutual", "mutual"),
    NoisyStudent: ("noisy_student", "generation"),
    SoftHeads: ("tmkd", "finetune"),
    TripleLoss: ("distilbert", "pretrain"),
}


@cache
def _composed(method: str) -> DictConfig:
    return composed(f"method={method}")


def with_defaults(algorithm: type[A], **settings: object) -> A:
    """The algorithm as its method's YAML sets it up, with these settings in place of its own."""
    method, stage = STAGES[algorithm]
    algorithm_node = _composed(method).method.stages[stage].algorithm
    node = OmegaConf.to_container(algorithm_node, resolve=True)
    assert isinstance(node, dict)
    return cast(A, make_algorithm({**node, **settings}, key_of="method.{}".format))  # type: ignore[dict-item]
