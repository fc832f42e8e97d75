"""The model card that goes with a student."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from distill_runner.console.names import counted
from distill_runner.console.printable import on_one_line
from distill_runner.report.at_chance import mark, students_warning
from distill_runner.report.card_data import card_data
from distill_runner.report.columns import broken_off, headline, notes, own_metrics, shown
from distill_runner.report.latency import latency_line
from distill_runner.report.robustness import robustness_lines


def model_card(result: Mapping[str, Any]) -> str:
    """Markdown with what a user of the student needs to know; figures from `result` alone."""
    result = _of_one_line({**result, "formula": result["formula"].splitlines()[0]})
    student, training = result["student"], result["training"]
    own, figure = own_metrics(result), headline(result)
    classes = result["data"]["classes"]
    answers = f"classes: {', '.join(classes)}" if len(classes) > 1 else "its one output is a score"
    title = figure if figure == "accuracy" else f"{figure} × 100"
    lines = [
        f"# {student['name']}, {result['method']} on {result['dataset']}",
        "",
        *([f"**{told}**", ""] if (told := students_warning(result)) else []),
        f"{student['parameters']:,} parameters, {answers}. It was trained on texts of at most "
        f"{result['data']['max_tokens']} tokens; what is longer is cut.",
        "",
        *_loading(result),
        "## What it scores",
        "",
        _line("model", "parameters", "steps", "split", title, "95% interval", "rows", *own),
        "|" + (7 + len(own)) * "---|",
        *_rows("this student", student, result["metrics"], own, figure),
    ]
    if result["baseline"]:
        alone = result["baseline"]
        same = "one of them" if student["members"] else "the same"
        lines += _rows(f"{same}, without a teacher", alone, alone["metrics"], own, figure)
    for teacher in result["teachers"]:
        lines += _rows(f"teacher {teacher['name']}", teacher, teacher["metrics"], own, figure)
    beside = [*([ended] if (ended := broken_off(result)) else []), *notes(result)]
    lines += ["", *beside] if beside else []
    lines += [
        "",
        *([saved, ""] if (saved := latency_line(result)) else []),
        *robustness_lines(result),
        "## How it was made",
        "",
        f"Loss: {result['formula']}. Seed {result['seed']}, "
        f"{counted(training['epochs'], 'epoch')}, {counted(training['steps'], 'step')}, "
        f"{training['precision']} "
        f"on {training['device']}; kept: {result['selection']}.",
        f"Split: {result['data']['split']['scheme']}, seed {result['data']['split_seed']}; "
        f"test fingerprint {result['data']['fingerprints'].get('test', 'none')[:16]}.",
        "",
        "It answers as its data taught it, and was measured on that data set only.",
        "",
    ]
    return f"---\n{card_data(result).to_yaml()}\n---\n\n" + "\n".join(lines)


def _of_one_line(value: Any) -> Any:
    """The same with names that break no line, no table and no terminal."""
    if isinstance(value, Mapping):
        return {_of_one_line(key): _of_one_line(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_of_one_line(item) for item in value]
    return on_one_line(value) if isinstance(value, str) else value


def _loading(result: Mapping[str, Any]) -> list[str]:
    members, golden = result["student"]["members"], result["golden_head"]
    figure = headline(result)
    answers = "probabilities" if figure == "accuracy" else "scores"
    inside = f"/{members[0]}" if members else ""
    lines = [
        "```python",
        "from transformers import pipeline",
        "",
        "# The folder of this card, by its path from where you are, or by its full path.",
        f'student = "student{inside}"',
        "classify = pipeline(",
        f'    "text-classification", model=student, truncation=True, '
        f"max_length={result['data']['max_tokens']}",
        ")",
        f"print(classify({_example(result)}))",
        "```",
        "",
    ]
    if members:
        lines += [
            f"{len(members)} students answer together ({', '.join(members)}): the mean of their "
            f"{answers}. One alone is another classifier.",
            "",
        ]
    if golden:
        lines += [
            f"The scores below are those of all its heads: the mean of their {answers}. "
            "transformers loads the golden head alone; the soft heads lie in "
            "`soft_heads.safetensors` (weight [heads, classes, width] and bias, on the first "
            "token's last state). The golden head alone:",
            "",
            *(
                f"- {split}: {figure} {100 * found[figure]:.2f}, {_alike(found, figure)}"
                for split, found in golden.items()
            ),
            "",
        ]
    return lines


def _example(result: Mapping[str, Any]) -> str:
    """What the pipeline takes: a text, or a pair of them."""
    texts = [f"the {name}" for name in result["data"]["texts"]]
    named = dict(zip(("text", "text_pair"), texts, strict=False))
    return json.dumps(named if len(texts) > 1 else texts[0])


def _alike(found: Mapping[str, Any], figure: str) -> str:
    """How far a golden head answers as all heads do."""
    alike = 100 * found["same_answers"]
    if figure == "accuracy":
        return f"the same answer as all heads on {alike:.1f}% of the rows"
    return f"its {figure} with the answers of all heads {alike:.1f}"


def _rows(
    name: str,
    model: Mapping[str, Any],
    metrics: Mapping[str, Any],
    own: Sequence[str],
    figure: str,
) -> list[str]:
    seen = ", may have seen the test rows" if model["may_have_seen_test_rows"] else ""
    return [
        _line(
            name + seen + mark(model),
            f"{model['parameters']:,}",
            f"{model['steps']:,}" if model["steps"] else "–",
            split,
            f"{100 * found[figure]:.2f}",
            f"{100 * found['low']:.2f}–{100 * found['high']:.2f}",
            str(found["n"]),
            *(shown(metrics, (split, metric)) for metric in own),
        )
        for split, found in metrics.items()
        if found
    ]


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
