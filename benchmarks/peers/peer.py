"""Provides what all peers share: plain models, random order, AdamW."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contender import Contender
from benchmarks.peers.texts import Texts
from benchmarks.setting import Setting
from distill_runner.config.schema import Batching
from distill_runner.data.batches import Order


class Peer(Contender):
    """A contender that trains the same student on the same rows, without our loop."""

    def __init__(self, setting: Setting, *, padded: bool) -> None:
        self.setting = setting
        self.training = setting.stage.training
        self.algorithm: Any = setting.stage.algorithm
        self.texts = Texts(setting, "train", padded=padded)
        self.lengths = self.texts.lengths
        self.width = setting.options.max_tokens if padded else None
        self._order = Order(
            self.lengths, self.training.batch_size, setting.config.seed, Batching.random
        )
        self.student = classifier(setting.models.student).train()

    def epoch(self, epoch: int) -> list[np.ndarray]:
        return self._order.epoch(epoch)

    def once(self) -> tuple[float, float]:
        return self.texts.seconds, 0.0

    def teacher(self) -> Any:
        return classifier(self.setting.models.teacher).eval()

    def optimizer(self, module: Any, learning_rate: float | None = None) -> torch.optim.AdamW:
        """Create AdamW with our loop's settings: no weight decay for biases and norms."""
        groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
        for name, weight in module.named_parameters():
            groups[not (name.endswith(".bias") or "norm" in name.lower())].append(weight)
        return torch.optim.AdamW(
            [
                {"params": groups[True], "weight_decay": self.training.weight_decay},
                {"params": groups[False], "weight_decay": 0.0},
            ],
            lr=self.training.learning_rate if learning_rate is None else learning_rate,
            fused=True,
        )

    def autocast(self) -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16, enabled=self.setting.machine.bf16)


def classifier(folder: Path) -> Any:
    """Return the classifier in `folder`, as transformers loads it."""
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(
        folder, dtype=torch.float32, trust_remote_code=False
    )
