"""Makes the micro-batches of a stage, as its algorithm sees them."""

from __future__ import annotations

import numpy as np
import torch

from distill_runner.data.batches import quiz_rows
from distill_runner.methods.batch import Address, Batch, Quiz
from distill_runner.training.stage_job import Job

# Rows of a quiz that are padded together, unless padding is left out.
_QUIZ_PIECE = 8


class Batches:
    """Makes each micro-batch from its address; the same address gives the same batch."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def make(self, epoch: int, at: int, micro: int, rows: np.ndarray) -> Batch:
        """Make micro-batch `micro` of step `at` of the epoch; all three count from 0.

        Args:
            epoch: counted from the stage's first.
            at: step within the epoch.
            micro: position within the step's batch.
            rows: [batch], positions among the training rows.
        """
        job, data = self._job, self._job.rows
        counted = job.first_epoch + epoch
        return Batch(
            student=job.student,
            student_inputs=job.student.on_device(data.student.inputs(rows, counted), job.device),
            task=job.task,
            labels=torch.from_numpy(data.labels[rows]).to(job.device),
            labelled=None if data.labelled is None else torch.from_numpy(data.labelled[rows]),
            teachers=job.teachers,
            ids=[data.ids[row] for row in rows.tolist()],
            teacher_inputs=lambda: [
                teacher.on_device(view.inputs(rows, counted), job.device)
                for teacher, view in zip(job.teachers.learners, data.teachers, strict=True)
            ],
            draw_quiz=lambda size: self._quiz(size, counted, at),
            address=Address(job.seed, counted, at, micro),
        )

    def _quiz(self, size: int | None, epoch: int, at: int) -> Quiz:
        data = self._job.rows
        assert data.quiz is not None
        rows = quiz_rows(len(data.quiz_labels), size, seed=self._job.seed, epoch=epoch, step=at)
        rows = rows[np.argsort(data.quiz.lengths[rows], kind="stable")]
        together = len(rows) if self._job.student.leaves_padding_out else _QUIZ_PIECE
        pieces = np.array_split(rows, -(-len(rows) // together))
        labels = torch.from_numpy(data.quiz_labels[rows]).to(self._job.device)
        student, device = self._job.student, self._job.device
        inputs = tuple(student.on_device(data.quiz.inputs(piece, 0), device) for piece in pieces)
        return Quiz(inputs, labels)
