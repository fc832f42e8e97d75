"""The model card's fields that programs read, as the Hugging Face hub knows them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from distill_runner.report.columns import headline, own_metrics

if TYPE_CHECKING:
    from huggingface_hub import EvalResult, ModelCardData

_TASK = "text-classification"
# Ours to the hub's.
_METRICS = {
    "macro_f1": "f1",
    "matthews": "matthews_correlation",
    "pearson": "pearsonr",
    "spearman": "spearmanr",
}


def card_data(result: Mapping[str, Any]) -> ModelCardData:
    """What is known of the student; what is not known is left out."""
    from huggingface_hub import ModelCardData

    student, hub = result["student"], result["data"]["hub"]
    evaluated = list(_evaluated(result))
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=_TASK,
        tags=["knowledge-distillation"] if result["teachers"] else None,
        base_model=student["origin"].get("base_model"),
        license=student["origin"].get("license"),
        datasets=[hub] if hub else None,
        metrics=sorted({found.metric_type for found in evaluated}) or None,
        model_name=f"{student['name']}, {result['method']}" if evaluated else None,
        eval_results=evaluated or None,
    )


def _evaluated(result: Mapping[str, Any]) -> Iterator[EvalResult]:
    """The figures of what `from_pretrained` loads, shares of 1 as they are."""
    if result["student"]["members"]:
        return  # they are those of several models together
    for split, found in (result["golden_head"] or result["metrics"]).items():
        if found:
            for metric in [headline(result), *own_metrics(result)]:
                if metric in found:
                    yield _figure(result, split, found, metric)


def _figure(
    result: Mapping[str, Any], split: str, found: Mapping[str, Any], metric: str
) -> EvalResult:
    from huggingface_hub import EvalResult

    data, name = result["data"], result["dataset"]
    about: dict[str, Any] = {"rows": found["n"]}
    if metric == headline(result):
        about["interval_95"] = [found["low"], found["high"]]
    if metric == "macro_f1":
        about["average"] = "macro"
    return EvalResult(
        task_type=_TASK,
        dataset_type=data["hub"] or name,
        dataset_name=name,
        dataset_config=data["subset"] if data["hub"] else None,
        dataset_split=split,
        # The rows may be cut from another split, or by ourselves.
        dataset_args={
            "cut": data["split"]["scheme"],
            "seed": data["split_seed"],
            "fingerprint": data["fingerprints"][split],
        }
        if split in data["fingerprints"]
        else None,
        metric_type=_METRICS.get(metric, metric),
        metric_name=metric,
        metric_value=found[metric],
        metric_args=about,
    )
