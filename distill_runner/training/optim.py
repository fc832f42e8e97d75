"""The optimiser of a role and its learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from distill_runner.config.schema import Schedule
from distill_runner.methods.base import Attachment, OptimizerSettings
from distill_runner.models.learner import ATTACHED, Learner

_EPS = 1.0e-8


def adamw(
    learners: Sequence[Learner],
    *,
    learning_rate: float,
    weight_decay: float,
    eps_factor: float = 1.0,
    attachments: Sequence[Attachment] = (),
) -> torch.optim.AdamW:
    """Make an AdamW over the learners' trainable weights; biases and norms are not decayed.

    AdamW works element by element, so one optimiser over several learners equals one for each.

    Args:
        attachments: modules trained with the student; each may have its own settings.
    """
    own = {f"{ATTACHED}.{one.name}.": one.settings for one in attachments}
    weights = [pair for learner in learners for pair in learner.trainable()]
    groups = []
    for prefix, settings in (("", OptimizerSettings()), *own.items()):
        rate, decay = settings.learning_rate, settings.weight_decay
        rate = learning_rate if rate is None else rate
        decay = weight_decay if decay is None else decay
        # A string: checkpoints hold no enum.
        schedule = settings.schedule.value if settings.schedule else None
        for spared in (False, True):
            chosen = [
                weight
                for name, weight in weights
                if _is_spared(name) is spared
                and (name.startswith(prefix) if prefix else not name.startswith(tuple(own)))
            ]
            group = {"weight_decay": 0.0 if spared else decay, "lr": rate, "peak": rate}
            if chosen:
                groups.append({"params": chosen, **group, "schedule": schedule})
    return torch.optim.AdamW(groups, lr=learning_rate, eps=_EPS * eps_factor, fused=True)


def _is_spared(name: str) -> bool:
    """Return whether a weight of that name is exempt from weight decay."""
    return name.endswith(".bias") or "norm" in name.lower()


def set_rates(
    optimizer: torch.optim.Optimizer,
    at: int,
    *,
    total: int,
    warmup_fraction: float,
    schedule: Schedule,
) -> None:
    """Set every group's learning rate for step `at`, by its own schedule if it has one."""
    for group in optimizer.param_groups:
        own = group["schedule"]
        share = rate_at(
            at,
            total=total,
            warmup_fraction=warmup_fraction,
            schedule=Schedule(own) if own else schedule,
        )
        group["lr"] = group["peak"] * share


def eps_of(optimizer: torch.optim.Optimizer) -> float:
    """Return AdamW's eps: gradients far below it hardly move a weight."""
    return float(optimizer.param_groups[0]["eps"])


def rate_at(step: int, *, total: int, warmup_fraction: float, schedule: Schedule) -> float:
    """Return the learning rate of `step` (from 0) as a share of its peak, 0..1."""
    warmup = math.ceil(total * warmup_fraction)
    if step < warmup:
        return (step + 1) / warmup
    if schedule is Schedule.constant:
        return 1.0
    done = (step - warmup) / max(1, total - warmup)
    if schedule is Schedule.cosine:
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1.0 - done


def step(
    optimizer: torch.optim.Optimizer, learners: Sequence[Learner], limit: float
) -> list[Tensor]:
    """Clip each learner's gradient to a norm of at most `limit`, and step.

    Args:
        optimizer: made by `adamw` over the weights of these learners.
        learners: each is clipped by its own norm.
        limit: the largest norm; 0: no clipping.

    Returns:
        The norm of each learner's gradient before clipping.
    """
    bound = limit if limit > 0 else math.inf
    gradients = [
        [w.grad for _, w in learner.trainable() if w.grad is not None] for learner in learners
    ]
    norms = [torch.nn.utils.get_total_norm(own) for own in gradients]
    divisors = [(norm / bound).clamp(min=1.0) for norm in norms]
    if len(learners) == 1 and divisors[0].dtype == torch.float32:
        # The fused optimiser divides by it while it reads the gradients, which saves a pass.
        optimizer.grad_scale = divisors[0]  # type: ignore[attr-defined]
    else:
        for own, divisor in zip(gradients, divisors, strict=True):
            torch._foreach_div_(own, divisor)
    optimizer.step()
    optimizer.grad_scale = None  # type: ignore[attr-defined]
    return norms
