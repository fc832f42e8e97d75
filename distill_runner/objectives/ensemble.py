"""Many teachers' signals as one (Hinton et al. 2015, section 2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def logit_mean(signals: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the logits: a geometric mean of the distributions, renormalised.

        z[b] = Σ_m w_m · z_m[b]

    Args:
        signals: [teachers, batch, classes].
        weights: [teachers], sum 1.

    Returns:
        [batch, classes].
    """
    # A product and a sum, not einsum: autocast would round that one to bfloat16.
    return (weights[:, None, None] * signals).sum(dim=0)


def prob_mean(signals: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Logits whose softened distribution is the weighted arithmetic mean of the teachers'.

        z[b] = T · log Σ_m w_m · softmax(z_m[b] / T),  so  softmax(z / T) is that mean

    Args:
        signals: [teachers, batch, classes].
        weights: [teachers], sum 1.
        temperature: T > 0, the distillation temperature.

    Returns:
        [batch, classes].
    """
    log_probs = F.log_softmax(signals / temperature, dim=-1)
    weighted = log_probs + weights.log()[:, None, None]
    return temperature * torch.logsumexp(weighted, dim=0)
