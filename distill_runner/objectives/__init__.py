"""Losses: pure functions, each with its equation.

Imports config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_runner.exports import lazy_attributes

if TYPE_CHECKING:
    from distill_runner.objectives.ensemble import logit_mean, prob_mean
    from distill_runner.objectives.logits import cross_entropy, kl, soft_loss, squared_error
    from distill_runner.objectives.tokens import cosine_distance, masked_word_loss, token_kl

__all__ = [
    "cosine_distance",
    "cross_entropy",
    "kl",
    "logit_mean",
    "masked_word_loss",
    "prob_mean",
    "soft_loss",
    "squared_error",
    "token_kl",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "cosine_distance": "tokens",
        "cross_entropy": "logits",
        "kl": "logits",
        "logit_mean": "ensemble",
        "masked_word_loss": "tokens",
        "prob_mean": "ensemble",
        "soft_loss": "logits",
        "squared_error": "logits",
        "token_kl": "tokens",
    },
)
