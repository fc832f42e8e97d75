"""Runs transformers' Trainer, plain, or as a distiller with an overridden loss."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.contender import Gate
from benchmarks.peers.peer import Peer
from benchmarks.sampling import Batch
from benchmarks.setting import Setting
from distill_runner.tasks.classification import Classification


class HfTrainer(Peer):
    """Calls `Trainer.train()` once over all chunks, and pauses between them.

    Args:
        setting: the race's setting; if the method has a teacher, the loss uses it.
        grouped: use the Trainer's group_by_length order instead of a random one.
        folder: the Trainer's output_dir; nothing is saved there.
    """

    def __init__(self, setting: Setting, *, grouped: bool, folder: Path) -> None:
        super().__init__(setting, padded=False)
        self._grouped = grouped
        self._folder = folder
        distils = setting.stage.algorithm.needs.teachers == "frozen"
        self._teacher = self.teacher() if distils else None

    def epoch(self, epoch: int) -> list[np.ndarray]:
        if not self._grouped:
            return super().epoch(epoch)
        from transformers.trainer_pt_utils import LengthGroupedSampler

        size = self.training.batch_size
        generator = torch.Generator().manual_seed(self.setting.config.seed + epoch)
        sampler = LengthGroupedSampler(size, lengths=self.lengths.tolist(), generator=generator)
        rows = np.array(list(sampler))
        return [rows[at : at + size] for at in range(0, len(rows), size)]

    def race(self, gate: Gate, *, rounds: int, steps: int) -> None:
        gate.answer({"ready": vars(self.facts())})
        chunks = self.chunks(rounds, steps)
        self.trainer([batch for chunk in chunks for batch in chunk], _turns(gate, chunks)).train()

    def step(self, batches: list[Batch]) -> None:
        self.trainer(batches, iter([None])).train()

    def trainer(self, batches: list[Batch], turns: Iterator[None]) -> Any:
        """Return a Trainer over these batches; it advances `turns` at the start and every step."""
        from transformers import DataCollatorWithPadding, Trainer, TrainerCallback

        rows = [row for batch in batches for row in batch.rows.tolist()]
        teacher, loss_of = self._teacher, self._distillation_loss

        class Distiller(Trainer):  # type: ignore[misc]
            def _get_train_sampler(self, *_: object) -> Any:
                return rows

            def compute_loss(
                self, model: Any, inputs: Any, return_outputs: bool = False, **given: Any
            ) -> Any:
                if teacher is None:
                    return super().compute_loss(model, inputs, return_outputs, **given)
                return loss_of(model, inputs)

        class Turns(TrainerCallback):  # type: ignore[misc]
            def on_train_begin(self, *_: object, **__: object) -> None:
                next(turns, None)

            def on_step_end(self, *_: object, **__: object) -> None:
                next(turns, None)

        return Distiller(
            model=self.student,
            args=self._arguments(len(batches)),
            train_dataset=self.texts.rows(),
            data_collator=DataCollatorWithPadding(self.texts.tokenizer),
            callbacks=[Turns()],
        )

    def loss(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the Trainer's own loss on one batch."""
        loss: Tensor = self.trainer([], iter([])).compute_loss(self.student, batch)
        return loss

    def _distillation_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        assert self._teacher is not None
        with torch.no_grad():
            taught = self._teacher(**inputs).logits
        logits = model(**inputs).logits
        loss: Tensor = self.algorithm.distillation_loss(
            Classification(), logits, taught, inputs["labels"]
        )[0]
        return loss

    def _arguments(self, steps: int) -> Any:
        from transformers import TrainingArguments

        training = self.training
        return TrainingArguments(
            output_dir=str(self._folder),
            max_steps=max(1, steps),
            per_device_train_batch_size=training.batch_size,
            learning_rate=training.learning_rate,
            weight_decay=training.weight_decay,
            max_grad_norm=training.clip_norm,
            lr_scheduler_type="constant",
            optim="adamw_torch_fused",
            bf16=self.setting.machine.bf16,
            use_cpu=True,
            dataloader_pin_memory=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            seed=self.setting.config.seed,
        )


def _turns(gate: Gate, chunks: list[list[Batch]]) -> Iterator[None]:
    """Wait for each chunk's turn, yield once per step, and report the chunk."""
    for batches in chunks:
        gate.wait()
        for _ in batches:
            yield
        gate.report(batches)
    gate.stay()
