"""Trains one stage: prepares what its loop needs, runs the loop, and keeps the artifact."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from distill_runner.config.schema import ClassWeights, Config
from distill_runner.console.screen import Screen
from distill_runner.data.training_rows import TrainingRows
from distill_runner.models import saving
from distill_runner.models.learner import Learner
from distill_runner.models.vocabulary import cut_to
from distill_runner.pipeline.answer_stage import keep_answers
from distill_runner.pipeline.parts import Parts
from distill_runner.pipeline.run_curves import RunCurves
from distill_runner.pipeline.run_progress import RunProgress
from distill_runner.pipeline.stage_teachers import trained_teachers
from distill_runner.planning.stages import Stage, steps_of
from distill_runner.results.measurements import Training
from distill_runner.results.scores import Score
from distill_runner.results.stage_record import StageRecord
from distill_runner.results.typed_json import to_json
from distill_runner.runtime.machine import Machine, versions
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.store import Artifact, plain
from distill_runner.tasks.base import Task
from distill_runner.training.loop import Loop
from distill_runner.training.stage_job import Finished, Job


class StageTrainer:
    """Trains a stage whose needs are met.

    Args:
        parts: of the run.
        curves: sends the points to the tracker.
        progress: shows the bar.
    """

    def __init__(
        self,
        config: Config,
        parts: Parts,
        curves: RunCurves,
        progress: RunProgress,
        *,
        machine: Machine,
        screen: Screen,
    ) -> None:
        self._config = config
        self._data = parts.data
        self._machine = machine
        self._factory = parts.factory
        self._teachers = parts.teachers
        self._logits = parts.logits
        self._store = parts.store
        self._curves = curves
        self._progress = progress
        self._screen = screen

    def train(self, stage: Stage, key: str, unfinished: Path) -> Artifact:
        """Train the stage to its end, resuming from what `unfinished` holds.

        Raises:
            Damaged: a file there is not as it was written.
        """
        data = self._data[stage.data]
        if stage.answers is not None:
            return keep_answers(
                stage, key, unfinished, data=data, store=self._store, machine=self._machine
            )
        with self.prepare(stage, folder=unfinished) as job:
            finished = self._run(stage, job)
        learner = job.student
        shutil.rmtree(unfinished / "model", ignore_errors=True)  # left half written by a kill
        saving.save(learner, unfinished / "model", classes=data.data.label_names)
        logits = {
            split: self._logits.predict(learner, stage, split)
            for split in data.scored_splits(stage)
        }
        scores = {split: data.score(answers, split) for split, answers in logits.items()}
        record = self._record(stage, key, learner, finished, scores)
        artifact = self._store.finish(key, unfinished, to_json(record))
        for split, answers in logits.items():
            self._logits.keep(artifact, stage, split, answers)
        return artifact

    @contextmanager
    def prepare(self, stage: Stage, *, folder: Path) -> Iterator[Job]:
        """Yield everything that the stage's training loop needs.

        Inside the block the learners to train are ready: on the device, their dropout drawn as
        configured, and their vocabulary cut to the words that the stage reads. Afterwards they
        have all their words again.

        Args:
            stage: the stages that it needs must be done.
            folder: for the checkpoint, the best weights and the curves; made if missing.
        """
        learner, attachments = self._factory.prepare(stage)
        teachers = self._teachers.teachers(stage)
        trained = trained_teachers(stage, teachers)
        data = self._data[stage.data]
        rows = data.training_rows(stage, learner, teachers)
        self._show_counts(stage, rows)
        folder.mkdir(parents=True, exist_ok=True)
        with self._vocabularies_cut(stage, [learner, *trained]):
            yield Job(
                algorithm=stage.algorithm,
                task=self._weighted(stage, rows),
                student=learner,
                teachers=teachers,
                roles={"student": [learner], **({"teacher": trained} if trained else {})},
                attachments=attachments,
                rows=rows,
                training=stage.training,
                seed=stage.seed,
                first_epoch=stage.first_epoch,
                device=self._machine.device,
                bf16=self._machine.bf16,
                folder=folder,
                checkpoint_seconds=self._config.runtime.checkpoint_seconds,
                log_every=self._config.tracker.every,
                validate=lambda: self._validate(stage, learner, trained),
                on_point=self._curves.on_point(stage),
                selected_by=data.task.selection_metric.value,
            )

    def _weighted(self, stage: Stage, rows: TrainingRows) -> Task:
        """Return the task of the stage's data, with the weights of the classes of its rows."""
        data = self._data[stage.data]
        if stage.training.class_weights is ClassWeights.none or not stage.reads_task:
            return data.task
        labels = rows.labels if rows.labelled is None else rows.labels[rows.labelled]
        return data.task.balance(labels, len(data.data.label_names))

    def _run(self, stage: Stage, job: Job) -> Finished:
        training = Loop(job)
        done = training.progress.step
        if done:
            self._screen.print(f"  {stage.name}: resumes after step {done}")
        with self._progress.bar(stage.name, total=training.total, start=done) as bar:
            finished = training.run(bar)
        self._progress.end(stage.name, made=(training.total - done) / max(training.total, 1))
        self._curves.end(finished.steps)
        return finished

    def _show_counts(self, stage: Stage, rows: TrainingRows) -> None:
        if rows.counts:
            counts = ", ".join(f"{name} {count:,}" for name, count in rows.counts.items())
            steps = steps_of(stage.training, len(rows.ids))
            self._screen.print(f"  {stage.name}: {counts}; {steps:,} steps")

    @contextmanager
    def _vocabularies_cut(self, stage: Stage, learners: Sequence[Learner]) -> Iterator[None]:
        """Cut the learners' vocabularies, inside the block, to the words that the stage reads."""
        with ExitStack() as cut:
            for learner in learners:
                ids = self._data[stage.data].vocabulary(stage, learner)
                if self._config.runtime.cut_vocabulary and ids is not None:
                    cut.enter_context(cut_to(learner, ids))
            yield

    def _validate(
        self, stage: Stage, learner: Learner, teachers: Sequence[Learner]
    ) -> dict[str, float]:
        """Return the validation scores by name; empty if the stage is not scored there."""
        data = self._data[stage.data]
        if "validation" not in data.scored_splits(stage):
            return {}

        def score(model: Learner) -> Score:
            return data.score(self._logits.predict(model, stage, "validation"), "validation")

        found, main = score(learner), data.task.selection_metric.value
        of_teachers = {
            f"teacher_{found.primary_metric}/{model.name}": score(model).value for model in teachers
        }
        return {found.primary_metric: found.value, main: found[main], **of_teachers}

    def _record(
        self,
        stage: Stage,
        key: str,
        learner: Learner,
        finished: Finished,
        scores: Mapping[str, Score],
    ) -> StageRecord:
        """Return the content of `stage.json`."""
        data = self._data[stage.data]
        training = {k: v for k, v in vars(finished).items() if k != "history"}
        return StageRecord(
            key=key,
            stage=plain(stage),
            teachers=stage.teachers,
            labels=stage.learner.labels,
            formula=stage.formula(data.task),
            parameters=learner.parameters,
            training=Training(
                **training,
                device=self._machine.device.type,
                machine=self._machine.name,
                precision=self._machine.precision,
            ),
            history=tuple(finished.history),
            metrics=scores,
            fingerprints=data.fingerprints(stage),
            versions=versions(),
            provenance=surroundings(),
        )
