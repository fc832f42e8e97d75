"""Typed JSON reads back what was written, and a refusal names the wrong key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from distill_runner.results.describe import describe
from distill_runner.results.scores import GoldenHeadScore, Score
from distill_runner.results.typed_json import Malformed, from_json, parse, to_json

SCORE = Score(
    primary_metric="accuracy",
    n=4,
    clusters=3,
    effective_n=3.5,
    low=0.0,
    high=1.0,
    majority=0.5,
    questions=None,
    without_positive=None,
    metrics={"accuracy": 0.75, "macro_f1": 0.7},
)


def written(**changed: Any) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(json.dumps(to_json(SCORE)))
    return value | changed


def test_a_score_is_read_back_and_its_metrics_stand_beside_its_fields() -> None:
    assert written()["macro_f1"] == 0.7
    assert from_json(Score, written()) == SCORE


def test_a_subclass_has_its_own_fields_beside_the_metrics() -> None:
    found = from_json(GoldenHeadScore, written(same_answers=1))
    assert (found.same_answers, found["accuracy"]) == (1.0, 0.75)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n": "4"}, "metrics.test.n: expected a whole number, got '4'"),
        ({"n": True}, "metrics.test.n: expected a whole number, got True"),
        ({"low": None}, "metrics.test.low: expected a number, got null"),
        ({"low": 10**400}, "metrics.test.low: expected a number, got one too large"),
        ({"macro_f1": [1]}, "metrics.test.macro_f1: expected a number"),
        ({"majority": "none"}, "metrics.test.majority: expected a number"),
    ],
)
def test_a_value_of_another_type_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(Malformed) as caught:
        from_json(Score, written(**changed), "metrics.test")
    assert str(caught.value).startswith(message)


def test_a_missing_key_and_text_that_is_no_json_are_refused() -> None:
    value = written()
    del value["n"]
    with pytest.raises(Malformed, match=r"^n: missing$"):
        from_json(Score, value)
    for text in ("{", '{"low": NaN}', ""):
        with pytest.raises(Malformed, match="not JSON"):
            parse(text)


def test_every_key_is_described() -> None:
    page = describe()
    assert "| `wall_seconds` | number | seconds spent on the steps, over all attempts |" in page
    assert "| the name of a metric | number |" in page
