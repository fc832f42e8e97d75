"""The optimiser of a role and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from distill_runner.models.learner import Learner
from distill_runner.schema import Schedule

_EPS = 1.0e-8


def adamw(
    learners: Sequence[Learner],
    *,
    learning_rate: float,
    weight_decay: float,
    eps_factor: float = 1.0,
) -> torch.optim.AdamW:
    """AdamW over the learners' trainable weights; biases and norms are not decayed.

    AdamW works element by element, so one over several learners is one for each.
    """
    decayed: list[Tensor] = []
    plain: list[Tensor] = []
    for learner in learners:
        for name, weight in learner.trainable():
            spared = name.endswith(".bias") or "norm" in name.lower()
            (plain if spared else decayed).append(weight)
    groups = [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=learning_rate,
        eps=_EPS * eps_factor,
        fused=True,
    )


def eps_of(optimizer: torch.optim.Optimizer) -> float:
    """The constant below which AdamW stops seeing a gradient."""
    return float(optimizer.param_groups[0]["eps"])


def rate_at(step: int, *, total: int, warmup_fraction: float, schedule: Schedule) -> float:
    """The learning rate of `step` (from 0) as a share of its peak, 0..1."""
    warmup = math.ceil(total * warmup_fraction)
    if step < warmup:
        return (step + 1) / warmup
    if schedule is Schedule.constant:
        return 1.0
    done = (step - warmup) / max(1, total - warmup)
    if schedule is Schedule.cosine:
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0 - done


def clip(learners: Sequence[Learner], limit: float) -> list[Tensor]:
    """Scale each learner's gradient to a norm of at most `limit`; 0 leaves it.

    Returns:
        The norm of each learner's gradient before clipping.
    """
    bound = limit if limit > 0 else math.inf
    return [
        torch.nn.utils.clip_grad_norm_([w for _, w in learner.trainable()], bound)
        for learner in learners
    ]
