"""Writes the model card of a student."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from distill_runner.config.schema import TaskKind
from distill_runner.console.names import format_count
from distill_runner.console.printable import on_one_line
from distill_runner.report.at_chance import mark, student_warning
from distill_runner.report.calibration import calibration_section
from distill_runner.report.card_data import card_data
from distill_runner.report.columns import (
    broken_off_line,
    cell,
    effective_rows,
    notes,
    other_metrics,
    unscored_lines,
)
from distill_runner.report.latency import latency_line
from distill_runner.report.robustness import robustness_lines
from distill_runner.report.threshold import threshold_lines
from distill_runner.report.tuning import tuning_line
from distill_runner.results.schema import ModelResult, RunResult
from distill_runner.results.scores import GoldenHeadScore, Scores
from distill_runner.results.typed_json import from_json, to_json
from distill_runner.tasks.rules import rules_of


def model_card(result: RunResult) -> str:
    """Write the card as Markdown; every figure comes from `result`."""
    result = replace(result, formula=result.formula.splitlines()[0])
    result = from_json(RunResult, _on_one_line(to_json(result)))
    lines = [
        f"# {result.student.name}, {result.method} on {result.dataset}",
        "",
        *_with_blank(student_warning(result), "**{}**"),
        _about(result),
        "",
        *_loading(result),
        "## What it scores",
        "",
        *_score_table(result),
        "",
        *_with_blank(broken_off_line(result)),
        *_with_blank(tuning_line(result)),
        *([*found, ""] if (found := notes(result)) else []),
        *_with_blank(latency_line(result)),
        *robustness_lines(result),
        *calibration_section(result),
        *_with_blank("\n".join(threshold_lines(result)) or None),
        "## How it was made",
        "",
        *_training_lines(result),
        "",
        "Its predictions reflect its training data, and it was measured on that data set only.",
        "",
    ]
    return f"---\n{card_data(result).to_yaml()}\n---\n\n" + "\n".join(lines)


def _with_blank(line: str | None, form: str = "{}") -> list[str]:
    """Return the line and an empty one after it; nothing if the line is None."""
    return [form.format(line), ""] if line else []


def _about(result: RunResult) -> str:
    classes = result.data.classes
    answers = f"classes: {', '.join(classes)}" if len(classes) > 1 else "its one output is a score"
    return (
        f"{result.student.parameters:,} parameters, {answers}. It was trained on texts of at most "
        f"{result.data.max_tokens} tokens; longer texts are cut."
    )


def _training_lines(result: RunResult) -> list[str]:
    training, data = result.training, result.data
    return [
        f"Loss: {result.formula}. Seed {result.seed}, "
        f"{format_count(training.epochs, 'epoch')}, {format_count(training.steps, 'step')}, "
        f"{training.precision} on {training.device}; kept: {result.selection}.",
        f"Split: {data.split.scheme}, seed {data.split_seed}; "
        f"test fingerprint {data.fingerprints.get('test', 'none')[:16]}.",
        *(
            f"Teacher {teacher.name}: answers in a file, SHA-256 {teacher.answers.sha256[:16]}."
            for teacher in result.teachers
            if teacher.answers is not None
        ),
        *unscored_lines(result),
    ]


def _on_one_line(value: Any) -> Any:
    """Escape line breaks and control characters in all texts of a JSON value."""
    if isinstance(value, Mapping):
        return {_on_one_line(key): _on_one_line(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_on_one_line(item) for item in value]
    return on_one_line(value) if isinstance(value, str) else value


def _loading(result: RunResult) -> list[str]:
    if result.student.layers == ():
        return _loading_static(result)
    members = result.student.members
    inside = f"/{members[0]}" if members else ""
    return [
        "```python",
        "from transformers import pipeline",
        "",
        "# The folder of this card, as a relative or an absolute path.",
        f'student = "student{inside}"',
        "classify = pipeline(",
        f'    "text-classification", model=student, truncation=True, '
        f"max_length={result.data.max_tokens}{rules_of(TaskKind(result.data.task)).pipeline}",
        ")",
        f"print(classify({_example(result)}))",
        "```",
        "",
        *_members_lines(result),
        *_golden_head_lines(result),
    ]


def _loading_static(result: RunResult) -> list[str]:
    scores = result.data.task == TaskKind.regression.value
    return [
        "```python",
        "from model2vec.inference import StaticModelPipeline",
        "",
        "# The folder of this card, as a relative or an absolute path.",
        'student = StaticModelPipeline.from_pretrained("student")',
        f"print(student.{'predict' if scores else 'predict_proba'}([{_example(result)}]))",
        "```",
        "",
        "It averages word embeddings and has no transformer layer, so transformers cannot load it: "
        "`pip install model2vec`, which needs no torch.",
        "",
    ]


def _members_lines(result: RunResult) -> list[str]:
    members = result.student.members
    if not members:
        return []
    return [
        f"{len(members)} students predict together ({', '.join(members)}), by the mean of their "
        f"{_outputs(result)}. A single one is a different classifier.",
        "",
    ]


def _golden_head_lines(result: RunResult) -> list[str]:
    if not result.golden_head:
        return []
    return [
        f"The scores below are those of all its heads: the mean of their {_outputs(result)}. "
        "transformers only loads the golden head; the soft heads are in "
        "`soft_heads.safetensors` (weight [heads, classes, width] and bias, on the first "
        "token's last state). The golden head alone:",
        "",
        *(
            f"- {split}: {score.primary_metric} {100 * score.value:.2f}, {_alike(result, score)}"
            for split, score in result.golden_head.items()
        ),
        "",
    ]


def _outputs(result: RunResult) -> str:
    return rules_of(TaskKind(result.data.task)).outputs


def _example(result: RunResult) -> str:
    """Return an example input of the pipeline: a text, or a pair of texts."""
    texts = [f"the {name}" for name in result.data.texts]
    named = dict(zip(("text", "text_pair"), texts, strict=False))
    return json.dumps(named if len(texts) > 1 else texts[0])


def _alike(result: RunResult, score: GoldenHeadScore) -> str:
    """Say how far the golden head agrees with all heads."""
    alike = 100 * score.same_answers
    if result.data.task != TaskKind.regression.value:
        return f"the same prediction as all heads on {alike:.1f}% of the rows"
    return f"its {score.primary_metric} with the predictions of all heads {alike:.1f}"


def _score_table(result: RunResult) -> list[str]:
    """Return a row for each model and split: the student, the baseline, the teachers."""
    metric, others, student = result.primary_metric, other_metrics(result), result.student
    title = metric if metric == "accuracy" else f"{metric} × 100"
    rows = ("rows", "effective n")
    head = ("model", "parameters", "steps", "split", title, "95% interval", *rows, *others)
    lines = [_line(*head), "|" + len(head) * "---|"]
    lines += _rows("this student", student, student.steps, result.metrics, others)
    if result.baseline:
        baseline = result.baseline
        name = f"{'one of them' if student.members else 'the same'}, without a teacher"
        lines += _rows(name, baseline, baseline.steps, baseline.metrics, others)
    for teacher in result.teachers:
        name = f"teacher {teacher.name}"
        lines += _rows(name, teacher, teacher.steps, teacher.metrics, others)
    return lines


def _rows(
    name: str, model: ModelResult, steps: int | None, scores: Scores, others: Sequence[str]
) -> list[str]:
    seen = ", may have seen the test rows" if model.may_have_seen_test_rows else ""
    return [
        _line(
            name + seen + mark(model),
            "–" if model.parameters is None else f"{model.parameters:,}",
            f"{steps:,}" if steps else "–",
            split,
            f"{100 * score.value:.2f}",
            f"{100 * score.low:.2f}–{100 * score.high:.2f}",
            str(score.n),
            effective_rows(score),
            *(cell(scores, (split, metric)) for metric in others),
        )
        for split, score in scores.items()
    ]


def _line(*cells: str) -> str:
    return f"| {' | '.join(one.replace('|', chr(92) + '|') for one in cells)} |"
