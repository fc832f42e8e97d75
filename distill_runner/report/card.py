"""The model card that goes with a student."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill_runner.report.robustness import robustness_lines


def model_card(result: Mapping[str, Any]) -> str:
    """Markdown with what a user of the student needs to know; figures from `result` alone."""
    student, training = result["student"], result["training"]
    lines = [
        "---",
        "library_name: transformers",
        "pipeline_tag: text-classification",
        "---",
        "",
        f"# {student['name']}, {result['method']} on {result['dataset']}",
        "",
        f"{student['parameters']:,} parameters, classes: {', '.join(result['data']['classes'])}.",
        "",
        "```python",
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer",
        'tokenizer = AutoTokenizer.from_pretrained("student")',
        'model = AutoModelForSequenceClassification.from_pretrained("student")',
        "```",
        "",
        "## What it scores",
        "",
        "| model | parameters | split | accuracy | 95% interval | rows |",
        "|---|---|---|---|---|---|",
        *_rows("this student", student, result["metrics"]),
    ]
    if result["baseline"]:
        metrics = result["baseline"]["metrics"]
        lines += _rows("the same, without a teacher", student, metrics)
    for teacher in result["teachers"]:
        lines += _rows(f"teacher {teacher['name']}", teacher, teacher["metrics"])
    lines += [
        "",
        *robustness_lines(result),
        "## How it was made",
        "",
        f"Loss: {result['formula'].splitlines()[0]}. Seed {result['seed']}, "
        f"{training['epochs']} epochs, {training['steps']} steps, {training['precision']} "
        f"on {training['device']}; kept: {result['selection']}.",
        f"Split: {result['data']['split']['scheme']}, seed {result['data']['split_seed']}; "
        f"test fingerprint {result['data']['fingerprints'].get('test', 'none')[:16]}.",
        "",
        "It answers as its data taught it, and was measured on that data set only.",
        "",
    ]
    return "\n".join(lines)


def _rows(name: str, model: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    seen = ", may have seen the test rows" if model["may_have_seen_test_rows"] else ""
    return [
        f"| {name}{seen} | {model['parameters']:,} | {split} | {100 * found['accuracy']:.2f} "
        f"| {100 * found['low']:.2f}–{100 * found['high']:.2f} | {found['n']} |"
        for split, found in metrics.items()
        if found
    ]
