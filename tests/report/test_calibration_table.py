"""What terminal and card say of a run's probabilities."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console
from support.results import (
    AT_CHANCE,
    a_calibration,
    a_model_calibration,
    a_result,
    a_student,
)

from distill_runner.report.calibration import (
    calibration_lines,
    calibration_section,
    calibration_table,
)
from distill_runner.results.calibration import Calibration
from distill_runner.results.schema import RunResult
from distill_runner.results.typed_json import from_json, to_json

FEW = "40 independent validation rows, and it takes 100"
BOTH = a_calibration(
    teacher_large=a_model_calibration(0.08, 0.04, temperatures={None: 1.25}),
    no_teacher=a_model_calibration(0.12, temperatures={None: FEW}),
    student=a_model_calibration(0.06, 0.02, temperatures={None: 0.9}),
)
TABLE = """\
Probabilities on 100 test rows, before → after temperature scaling

 model             T           ECE in % [95%]          Brier            NLL
 ──────────────────────────────────────────────────────────────────────────
 teacher large  1.25   8.00 → 4.00 [2.0, 8.0]  0.160 → 0.080  0.320 → 0.160
 no teacher        –       12.00 [6.0, 24.0]          0.240          0.480
 student        0.90   6.00 → 2.00 [1.0, 4.0]  0.120 → 0.040  0.240 → 0.080
"""


def printed(calibration: Calibration) -> list[str]:
    table = calibration_table(a_result(calibration=calibration))
    assert table is not None
    console = Console(width=80, file=io.StringIO(), highlight=False)
    console.print(table)
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_the_table_has_a_row_for_each_model_before_and_after() -> None:
    shown = [" ".join(line.split()) for line in printed(BOTH)]
    expected = [" ".join(line.split()) for line in TABLE.splitlines()]
    assert [line for line in shown if line.strip("─")] == [
        line for line in expected if line.strip("─")
    ]


def test_long_names_leave_all_figures_in_one_table_at_80_columns() -> None:
    teacher = BOTH.models["teacher large"]
    named = replace(BOTH, models={"teacher bert-base-uncased": teacher, **BOTH.models})
    lines = printed(named)
    assert max(map(len, lines)) <= 80
    assert sum("NLL" in line for line in lines) == 1


def test_the_lines_say_what_t_is_and_where_it_is_missing() -> None:
    fitted, _, missing = calibration_lines(a_result(calibration=BOTH))
    assert "fitted on the 150 validation rows and changes no prediction" in fitted
    assert missing == f"No T for no teacher: {FEW}."
    none = a_calibration(student=a_model_calibration(0.1, temperatures={None: FEW}))
    assert calibration_lines(a_result(calibration=none)) == [f"No T for any model: {FEW}."]
    assert "after" not in printed(none)[0]


@pytest.mark.parametrize(
    ("change", "ends"),
    [
        (-0.1, "-0.100 [-0.110, -0.090] (95% interval, paired): better."),
        (0.005, "+0.005 [-0.005, +0.015] (95% interval, paired): not significant."),
        (
            0.02,
            "[+0.010, +0.030] (95% interval, paired): worse, and calibrated=False omits T.",
        ),
    ],
)
def test_it_is_said_whether_scaling_made_the_student_better(change: float, ends: str) -> None:
    student = a_model_calibration(0.06, 0.02, temperatures={None: 1.5}, change=change)
    lines = calibration_lines(a_result(calibration=a_calibration(student=student)))
    assert lines[1].endswith(ends)


def test_an_error_that_is_largely_chance_is_said_to_be() -> None:
    student = a_model_calibration(0.06, 0.02, temperatures={None: 1.5}, exact=0.018)
    *_, line = calibration_lines(a_result(calibration=a_calibration(student=student)))
    assert line.startswith("No sample has an ECE of 0")
    assert "about 1.8 here" in line


def test_the_range_of_several_labels_is_shown_and_the_first_that_lacks_one_is_named() -> None:
    labels: dict[str | None, float | str] = {
        "joy": 1.5,
        "fear": "2 wrong on validation, and it takes 3",
        "anger": 0.8,
    }
    found = a_calibration(student=a_model_calibration(0.06, 0.02, temperatures=labels))
    assert any("0.80–1.50" in line for line in printed(found))
    lines = calibration_lines(a_result(calibration=found))
    assert lines[2] == (
        "No T for 1 of 3 labels of student: 2 wrong on validation, and it takes 3 (fear)."
    )
    card = "\n".join(calibration_section(a_result(calibration=found)))
    assert "This student's T: joy 1.5, fear 1, anger 0.8." in card


def test_the_card_says_whose_temperature_it_is_where_several_predict_together() -> None:
    alone, together = (
        "\n".join(calibration_section(a_result(calibration=BOTH, student=student)))
        for student in (a_student(), a_student(members=("one", "two")))
    )
    assert "This student's T: 0.9." in alone
    assert "together" not in alone
    assert "T belongs to what all of them predict together." in together


def test_nothing_is_shown_where_there_is_nothing_to_say() -> None:
    lost = a_student(no_better_than_chance=True, chance=AT_CHANCE)
    unjudged = replace(BOTH.student, splits={})
    for result in (
        a_result(),
        a_result(calibration=BOTH, student=lost),
        a_result(calibration=a_calibration(student=unjudged)),
    ):
        assert calibration_table(result) is None
        assert calibration_lines(result) == []
    assert calibration_section(a_result()) == []


def test_calibration_is_written_to_result_json_and_read_back() -> None:
    result = a_result(calibration=BOTH)
    written = json.loads(json.dumps(to_json(result)))
    assert written["calibration"]["models"]["student"]["temperatures"] == [
        {"label": None, "value": 0.9, "not_fitted": None}
    ]
    assert from_json(RunResult, written) == result
