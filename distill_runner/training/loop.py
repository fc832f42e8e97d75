"""The training loop, shared by all algorithms.

It asks the algorithm for updates and does everything else: scaling, clipping, stepping,
counting, logging, checkpoints, progress.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from distill_runner.config.schema import Select
from distill_runner.console.progress import Bar
from distill_runner.data.batches import Order
from distill_runner.methods.base import Update
from distill_runner.planning.stages import steps_of
from distill_runner.runtime import memory
from distill_runner.runtime.interrupts import defer_interrupts
from distill_runner.storage.integrity import Damaged
from distill_runner.tracking.curves import Curves
from distill_runner.training import checkpoint, optim
from distill_runner.training.micro_batches import Batches
from distill_runner.training.stage_job import Finished, Job, Progress


class Loop:
    """Trains one stage, from its beginning or from its checkpoint."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.order = Order(
            job.rows.student.lengths, job.training.batch_size, job.seed, job.training.batching
        )
        self.batches = Batches(job)
        self.total = steps_of(job.training, len(job.rows.ids))
        self.progress = Progress()
        for learners in job.roles.values():
            for learner in learners:
                own = learner is job.student
                learner.module.train(own or job.algorithm.needs.teacher_dropout)
        self.optimizers = {role: self._optimizer(role) for role in job.algorithm.roles}
        self.curves = Curves(job.folder / "metrics.jsonl", job.on_point)
        self._resume()
        # Made by earlier attempts; the bar shows the rate of this one only.
        self._attempt = self.progress.examples, self.progress.seconds

    def run(self, bar: Bar) -> Finished:
        """Train to the last step.

        Raises:
            DistillError: the loss is not a number.
            KeyboardInterrupt: the run was interrupted; the current step is finished and a
                checkpoint written first.
        """
        pace = checkpoint.Pace(self.job.checkpoint_seconds)
        memory.reset_peak(self.job.device)
        with defer_interrupts() as interrupts:
            for epoch, at, rows in self._remaining():
                epoch_done = at + 1 == self.order.batches_per_epoch
                began = time.perf_counter()
                self.step(epoch, at, rows)
                ended = self.progress.step == self.total
                # The checkpoint at the end covers what follows the loop: scoring every split.
                save_due = pace.is_due() or ended
                # Not at checkpoints: they depend on the clock, and the curves must not.
                if self._log_due() or epoch_done or ended:
                    # Timed, because reading the curves waits for a GPU's unfinished steps.
                    self._log(bar, began)
                else:
                    self.progress.seconds += time.perf_counter() - began
                if epoch_done or ended:
                    self._end_epoch(epoch)
                if save_due or interrupts.pending:
                    with pace.measured():
                        self.save()
                    interrupts.raise_pending()
        self._keep_best()
        return self._finished()

    # --- one step ------------------------------------------------------------------------

    def _remaining(self) -> Iterator[tuple[int, int, np.ndarray]]:
        """Yield (epoch, step within it, rows) for every step not yet made."""
        per_epoch = self.order.batches_per_epoch
        while self.progress.step < self.total:
            epoch, offset = divmod(self.progress.step, per_epoch)
            batches = self.order.epoch(self.job.first_epoch + epoch)
            for at in range(offset, min(per_epoch, offset + self.total - self.progress.step)):
                yield epoch, at, batches[at]

    def step(self, epoch: int, at: int, rows: np.ndarray) -> None:
        """Make one optimiser step of every role on these rows: step `at` of the epoch."""
        micro_batches = np.array_split(rows, min(self.job.training.accumulate, len(rows)))
        running = [
            self.job.algorithm.updates(self.batches.make(epoch, at, index, micro))
            for index, micro in enumerate(micro_batches)
        ]
        for role in self.job.algorithm.roles:
            self.optimizers[role].zero_grad(set_to_none=True)
            for micro, updates in zip(micro_batches, running, strict=True):
                self._backward(role, updates, share=len(micro) / len(rows))
            self._apply(role)
        self.progress.step += 1
        self.progress.examples += len(rows)
        self.progress.tokens += int(self.job.rows.student.lengths[rows].sum())

    def _backward(self, role: str, updates: Iterator[Update], *, share: float) -> None:
        with torch.autocast(self.job.device.type, torch.bfloat16, enabled=self.job.bf16):
            update = next(updates)
        if update.role != role:
            raise RuntimeError(
                f"expected an update of {role!r}, the algorithm gave {update.role!r}"
            )
        weights = [w for learner in self.job.roles[role] for _, w in learner.trainable()]
        # Weighted by size, because the last micro-batch may be short; `inputs` keeps the
        # gradient from leaking into other roles.
        (share * update.loss).backward(inputs=weights)  # type: ignore[no-untyped-call]
        self.curves.add(role, "loss", update.loss.detach(), share)
        for name, term in update.terms.items():
            self.curves.add(role, name, term, share)

    def _apply(self, role: str) -> None:
        learners, optimizer = self.job.roles[role], self.optimizers[role]
        settings = self.job.algorithm.settings_of(role)
        optim.set_rates(
            optimizer,
            self.progress.step,
            total=self.total,
            warmup_fraction=self.job.training.warmup_fraction,
            schedule=settings.schedule or self.job.training.schedule,
        )
        norms = optim.step(optimizer, learners, self.job.training.clip_norm)
        norm = torch.linalg.vector_norm(torch.stack(norms))
        weights = sum(w.numel() for learner in learners for _, w in learner.trainable())
        self.curves.add(role, "grad_norm", norm, 1.0)
        # Near 1, AdamW's eps damps the step of a typical weight, and some weights stop learning.
        eps = optim.eps_of(optimizer)
        self.curves.add(role, "grad_rms_over_eps", norm / math.sqrt(weights) / eps, 1.0)
        self.curves.set(role, "learning_rate", optimizer.param_groups[0]["lr"])

    # --- curves and epochs ---------------------------------------------------------------

    def _log_due(self) -> bool:
        return self.progress.step % self.job.log_every == 0

    def _log(self, bar: Bar, began: float) -> None:
        values = self.curves.write(self.progress.step)
        self.progress.seconds += time.perf_counter() - began
        examples = self.progress.examples - self._attempt[0]
        rate = examples / max(self.progress.seconds - self._attempt[1], 1e-9)
        bar.show(self.progress.step, {"loss": values.get("student/loss", 0.0), "rate": rate})

    def _end_epoch(self, epoch: int) -> None:
        scores = self.job.validate()
        for name, share in self.job.teachers.take_score().items():
            scores[f"teacher_on_training_rows/{name}"] = share
        self.curves.point(self.progress.step, {"epoch": epoch + 1.0, **scores})
        self.progress.history.append({"epoch": epoch + 1.0, **scores})
        if scores.get(self.job.selected_by, -math.inf) > self.progress.best_score:
            self.progress.best_score = scores[self.job.selected_by]
            self.progress.best_epoch = epoch + 1
            if self.job.training.select is Select.best_validation:
                checkpoint.save(self._best_path, dict(self.job.student.module.state_dict()))

    @property
    def _best_path(self) -> Path:
        return self.job.folder / "best.pt"

    def _keep_best(self) -> None:
        if self._has_best:
            state = checkpoint.load(self._best_path, self.job.device)
            if state is None:
                raise Damaged(self._best_path, "it is missing")
            self.job.student.module.load_state_dict(state)

    @property
    def _has_best(self) -> bool:
        selected = self.job.training.select is Select.best_validation
        return selected and self.progress.best_epoch > 0

    def _finished(self) -> Finished:
        done, seconds = self.progress, max(self.progress.seconds, 1e-9)
        epochs = -(-done.step // self.order.batches_per_epoch)
        selected = self.job.training.select is Select.best_validation
        return Finished(
            epochs=epochs,
            steps=done.step,
            wall_seconds=done.seconds,
            examples_per_second=done.examples / seconds,
            real_tokens_per_second=done.tokens / seconds,
            peak_memory_bytes=self._peak_memory(),
            kept_epoch=done.best_epoch if selected else epochs,
            counts=dict(self.job.rows.counts),
            history=done.history,
        )

    def _peak_memory(self) -> int:
        return max(self.progress.peak_memory, memory.peak(self.job.device))

    # --- checkpoints ---------------------------------------------------------------------

    def _optimizer(self, role: str) -> torch.optim.Optimizer:
        settings = self.job.algorithm.settings_of(role)
        training, rate, decay = self.job.training, settings.learning_rate, settings.weight_decay
        return optim.adamw(
            self.job.roles[role],
            learning_rate=training.learning_rate if rate is None else rate,
            weight_decay=training.weight_decay if decay is None else decay,
            eps_factor=settings.eps_factor,
            attachments=self.job.attachments if self.job.student in self.job.roles[role] else (),
        )

    def save(self) -> None:
        """Write a checkpoint.

        Raises:
            DistillError: a loss since the last logged point is not a number; nothing is written.
        """
        began = time.perf_counter()
        self.curves.check(self.progress.step)
        self.progress.seconds += time.perf_counter() - began  # the wait for a GPU's last steps
        self.progress.peak_memory = self._peak_memory()
        state: dict[str, Any] = {
            "progress": vars(self.progress),
            "curves": self.curves.state(),
            "teacher_score": self.job.teachers.score_state(),
            "optimizers": {r: optimizer.state_dict() for r, optimizer in self.optimizers.items()},
            "weights": {
                role: [learner.module.state_dict() for learner in learners]
                for role, learners in self.job.roles.items()
            },
        }
        checkpoint.save(self.job.folder / "checkpoint.pt", state)

    def _resume(self) -> None:
        """Resume from the checkpoint, if there is one.

        Raises:
            Damaged: the checkpoint, the best weights or the curves are not as they were written.
        """
        path = self.job.folder / "checkpoint.pt"
        state = checkpoint.load(path, self.job.device)
        if state is None:
            self.curves.resume(None)
            return
        try:
            self.progress = Progress(**state["progress"])
            self.job.teachers.load_score_state(state["teacher_score"])
            for role, learners in self.job.roles.items():
                self.optimizers[role].load_state_dict(state["optimizers"][role])
                for learner, weights in zip(learners, state["weights"][role], strict=True):
                    learner.module.load_state_dict(weights)
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise Damaged(path, f"it does not fit the stage ({error})") from error
        if self._has_best:
            checkpoint.check(self._best_path)
        self.curves.resume(state["curves"])
