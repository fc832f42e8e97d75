"""Makes the model card's metadata, in the fields of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from distill_runner.report.columns import other_metrics
from distill_runner.results.schema import RunResult
from distill_runner.results.scores import Score

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

_TASK = "text-classification"
# The hub's names of our metrics, if they differ.
_METRICS = {
    "macro_f1": "f1",
    "micro_f1": "f1",
    "subset_accuracy": "accuracy",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}


def card_data(result: RunResult) -> ModelCardData:
    """Make the student's metadata; unknown fields are left out."""
    from huggingface_hub import ModelCardData

    student, hub = result.student, result.data.hub
    evaluated = list(_evaluated(result))
    return ModelCardData(
        library_name="model2vec" if student.layers == () else "transformers",
        pipeline_tag=_TASK,
        tags=["knowledge-distillation"] if result.teachers else None,
        base_model=student.origin.base_model,
        license=student.origin.license,
        datasets=[hub] if hub else None,
        metrics=sorted({figure.metric_type for figure in evaluated}) or None,
        model_name=f"{student.name}, {result.method}" if evaluated else None,
        eval_results=evaluated or None,
    )


def _evaluated(result: RunResult) -> Iterator[EvalResult]:
    """Yield the scores of the model that `from_pretrained` loads, as shares of 1."""
    if result.student.members:
        return  # the scores are those of several models together
    for split, score in (result.golden_head or result.metrics).items():
        for metric in [result.primary_metric, *other_metrics(result)]:
            yield _figure(result, split, score, metric)


def _figure(result: RunResult, split: str, score: Score, metric: str) -> EvalResult:
    from huggingface_hub import EvalResult

    data = result.data
    about: dict[str, object] = {"rows": score.n}
    if metric == score.primary_metric:
        about["interval_95"] = [score.low, score.high]
    if metric in ("macro_f1", "micro_f1"):
        about["average"] = metric.removesuffix("_f1")
    return EvalResult(
        task_type=_TASK,
        dataset_type=data.hub or result.dataset,
        dataset_name=result.dataset,
        dataset_config=data.subset if data.hub else None,
        dataset_split=split,
        # The split's name alone does not identify the rows: distill-run may have cut them.
        dataset_args={
            "cut": data.split.scheme,
            "seed": data.split_seed,
            "fingerprint": data.fingerprints[split],
        }
        if split in data.fingerprints
        else None,
        metric_type=_METRICS.get(metric, metric),
        metric_name=metric,
        metric_value=score[metric],
        metric_args=about,
    )
