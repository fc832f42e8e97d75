"""Runs TextBrewer 0.2.1's GeneralDistiller through its own `train`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.peers.peer import Peer
from benchmarks.sampling import Batch
from benchmarks.setting import Setting
from distill_runner.errors import Refused


class TextBrewer(Peer):
    """Trains the student with a live teacher; the soft loss is cross-entropy, weighted by T².

    Args:
        setting: the race's setting.
        padded: pad every row to one width, as TextBrewer's examples do.
        folder: TextBrewer's checkpoint folder, required although nothing is written.
    """

    def __init__(self, setting: Setting, *, padded: bool, folder: Path) -> None:
        super().__init__(setting, padded=padded)
        if self.algorithm.soft_loss not in ("kl", "soft_ce"):
            raise Refused(
                "TextBrewer has no such soft loss.",
                key="method.soft_loss",
                value=self.algorithm.soft_loss,
                rule="kl or soft_ce, whose gradients are equal",
            )
        self.distiller = self._distiller(folder)
        self._optimizer = self.optimizer(self.student)

    def step(self, batches: list[Batch]) -> None:
        loader: Any = DataLoader(
            np.arange(len(self.lengths)),  # type: ignore[arg-type]
            batch_sampler=[batch.rows.tolist() for batch in batches],
            collate_fn=self.texts.batch,
        )
        with self.distiller:
            self.distiller.train(
                self._optimizer,
                loader,
                num_steps=len(batches),
                max_grad_norm=self.training.clip_norm,
            )

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the distiller's own loss on one batch."""
        loss: Tensor = self.distiller.train_on_batch(batch, {})[0]
        return loss

    def _distiller(self, folder: Path) -> Any:
        textbrewer = _textbrewer()

        autocast = self.autocast

        class Distiller(textbrewer.GeneralDistiller):  # type: ignore[misc, name-defined]
            """Saves nothing: an epoch saves once, but every chunk would save here."""

            def save_and_callback(self, *_: object) -> None:
                pass

            def train_on_batch(self, *given: Any) -> Any:
                # One context per step: a longer one would reuse the casts of old weights.
                with autocast():
                    return super().train_on_batch(*given)

        def adaptor(_: object, outputs: Any) -> dict[str, Any]:
            return {"logits": outputs.logits, "losses": outputs.loss}

        alpha, temperature = self.algorithm.alpha, self.algorithm.temperature
        return Distiller(
            textbrewer.TrainingConfig(
                device="cpu", output_dir=str(folder), log_dir=None, ckpt_steps=10**9
            ),
            textbrewer.DistillationConfig(
                temperature=temperature,
                hard_label_weight=1 - alpha,
                kd_loss_type="ce",
                kd_loss_weight=alpha * temperature**2,
            ),
            self.teacher(),
            self.student,
            adaptor,
            adaptor,
        )


def _textbrewer() -> Any:
    # It imports a TensorBoard writer, which it does not open without a log_dir.
    if "tensorboardX" not in sys.modules:
        writer = ModuleType("tensorboardX")
        writer.SummaryWriter = None  # type: ignore[attr-defined]
        sys.modules["tensorboardX"] = writer
    return importlib.import_module("textbrewer")
