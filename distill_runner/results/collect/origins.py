"""Collects the origins of the figures: the rows, the stages, the code and the machine."""

from __future__ import annotations

from collections.abc import Mapping

from distill_runner.console.names import data_name
from distill_runner.data.readers.columns import text_columns
from distill_runner.results.collect.finished import FinishedRun
from distill_runner.results.origins import DataResult, DataSource, Provenance, SplitSizes
from distill_runner.results.schema import StageResult
from distill_runner.runtime.provenance import surroundings


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
    )


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
