"""Collects the origins of the figures: the rows, the stages, the code and the machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from distill_runner.console.names import data_name
from distill_runner.data.readers.columns import text_columns
from distill_runner.evaluation.text_counts import count_texts
from distill_runner.models.loading import load_encoder
from distill_runner.planning.stages import UNLABELLED
from distill_runner.results.collect.finished import FinishedRun
from distill_runner.results.origins import (
    DataResult,
    DataSource,
    Provenance,
    SplitSizes,
    TextShares,
)
from distill_runner.results.schema import StageResult
from distill_runner.results.typed_json import from_json, parse, to_json
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.integrity import provide
from distill_runner.storage.store import Artifact, key_of, write_json

_SHARES = "shares.json"
_COUNTED = 2000  # training rows, at most, whose tokens are counted


def data_result(run: FinishedRun) -> DataResult:
    """Describe how the task's data were split, and the resulting rows."""
    dataset, data = run.config.dataset, run.data
    split = dataset.split
    return DataResult(
        name=data_name(dataset),
        task=dataset.task.value,
        hub=dataset.hub if dataset.path is None else None,
        subset=dataset.subset,
        texts=tuple(text_columns(dataset)),
        max_tokens=dataset.max_tokens,
        split=SplitSizes(
            scheme=split.scheme.value,
            train=split.train,
            quiz=split.quiz,
            validation=split.validation,
            test=split.test,
        ),
        split_seed=dataset.split_seed,
        rows=data.counts,
        left_out=data.left_out,
        fingerprints=data.fingerprints,
        classes=data.label_names,
        training_texts=_training_texts(run),
    )


def _training_texts(run: FinishedRun) -> TextShares:
    """Return what the student's tokenizer makes of some of the training rows.

    It is kept in the store, since a tokenizer takes seconds to import.
    """
    split = "train" if "train" in run.data.splits else UNLABELLED
    student = run.outcome.artifacts[next(iter(run.plan.members), run.plan.deployed)]
    decided = [student.key, run.data.fingerprints[split], run.config.dataset.max_tokens]
    folder = Path(run.config.store.dir) / "texts" / key_of(decided)

    def write(made: Path) -> None:
        write_json(made / _SHARES, to_json(_count(run, student, split)))

    provide(folder, write, say=print)
    return from_json(TextShares, parse((folder / _SHARES).read_bytes()))


def _count(run: FinishedRun, student: Artifact, split: str) -> TextShares:
    rows = run.data.splits[split]
    some = rows.select(range(0, len(rows), math.ceil(len(rows) / _COUNTED)))
    encoder = load_encoder(student.model, run.config.dataset.max_tokens, key="student.model")
    pairs = some["text_pair"][:] if "text_pair" in some.column_names else None
    return count_texts(some["text"][:], pairs, encoder).shares


def stage_results(run: FinishedRun) -> dict[str, StageResult]:
    """Return every stage that was carried out, in the order of the plan."""
    return {
        name: StageResult(
            role=run.plan.stage(name).role.value,
            key=artifact.key,
            trained_now=name in run.outcome.trained,
            training_seconds=run.record(name).training.wall_seconds,
        )
        for name, artifact in run.outcome.artifacts.items()
    }


def provenance(run: FinishedRun, sources: Mapping[str, DataSource]) -> Provenance:
    """Return this command's code and machine, and the models and data that it was given."""
    models = run.outcome.given_models
    return Provenance(**vars(surroundings()), models=models, data=sources)
