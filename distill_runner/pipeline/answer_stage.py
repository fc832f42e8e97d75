"""Keeps the artifact of a teacher that is a file of answers: its scores, and no model."""

from __future__ import annotations

from pathlib import Path

from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.stages import Stage
from distill_runner.results.measurements import Training
from distill_runner.results.scores import Score
from distill_runner.results.stage_record import StageRecord
from distill_runner.results.typed_json import to_json
from distill_runner.runtime.machine import Machine, versions
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.store import Artifact, Store, plain


def keep_answers(
    stage: Stage,
    key: str,
    unfinished: Path,
    *,
    data: TaskData,
    store: Store,
    machine: Machine,
) -> Artifact:
    """Keep the artifact of a stage in which nothing is trained.

    Args:
        stage: of a teacher that is a file.
        key: the artifact's key.
        unfinished: the stage's folder until it is finished.
        data: of the stage.
        store: keeps the artifact.
        machine: named in the record.
    """
    unfinished.mkdir(parents=True, exist_ok=True)
    (unfinished / "metrics.jsonl").write_text("", encoding="utf-8")
    record = StageRecord(
        key=key,
        stage=plain(stage),
        teachers=(),
        labels=None,
        formula="none: the answers of a file",
        parameters=None,
        training=_no_training(machine),
        history=(),
        metrics=_scores(stage, data),
        fingerprints=data.fingerprints(stage),
        versions=versions(),
        provenance=surroundings(),
    )
    return store.finish(key, unfinished, to_json(record))


def _scores(stage: Stage, data: TaskData) -> dict[str, Score]:
    """Return the scores on the splits that the file answers whole."""
    answers, scores = data.answers(stage), {}
    for split in data.scored_splits(stage):
        positions = answers.positions(data.data.splits[split])
        if (positions >= 0).all():
            scores[split] = data.score(answers.logits[positions], split)
    return scores


def _no_training(machine: Machine) -> Training:
    return Training(
        epochs=0,
        steps=0,
        kept_epoch=0,
        wall_seconds=0.0,
        examples_per_second=0.0,
        real_tokens_per_second=0.0,
        peak_memory_bytes=0,
        counts={},
        device=machine.device.type,
        machine=machine.name,
        precision=machine.precision,
    )
