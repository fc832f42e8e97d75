"""An algorithm is one constructor call, and a wrong argument is refused by its key."""

from __future__ import annotations

import pytest
from support.algorithms import with_defaults

from distill_runner.config.schema import Combine
from distill_runner.errors import Refused
from distill_runner.methods.construct import make_algorithm
from distill_runner.methods.finetune import FineTune
from distill_runner.methods.kd import KD
from distill_runner.methods.metadistil import MetaDistil
from distill_runner.planning.stage_context import Context
from distill_runner.tasks.classification import Classification

FINETUNE = "distill_runner.methods.finetune.FineTune"
KD_TARGET = "distill_runner.methods.kd.KD"
METADISTIL = "distill_runner.methods.metadistil.MetaDistil"


def joined_by(combine: Combine) -> Context:
    return Context(
        stage="kd", teachers=2, combine=combine, task=Classification.rules, compiled=False
    )


def refused(target: object, **arguments: object) -> Refused:
    with pytest.raises(Refused) as caught:
        make_algorithm({"_target_": target, **arguments}, stage="kd")
    return caught.value


def test_the_target_and_its_arguments_make_the_algorithm() -> None:
    assert make_algorithm({"_target_": FINETUNE}) == FineTune()
    settings = {"temperature": 5.0, "alpha": 0.5, "soft_loss": "mse_prob"}
    found = make_algorithm({"_target_": KD_TARGET, **settings})
    assert found == KD(temperature=5.0, alpha=0.5, soft_loss="mse_prob")


def test_a_whole_number_serves_where_a_fraction_is_meant() -> None:
    found = with_defaults(KD, temperature=4, alpha=1)
    assert (type(found.temperature), found.temperature) == (float, 4.0)
    assert (type(found.alpha), found.alpha) == (float, 1.0)


def test_null_lists_and_values_in_quotes_serve_where_they_are_meant() -> None:
    found = with_defaults(MetaDistil, quiz_batch=None, update_teachers=[1, 0])
    assert (found.quiz_batch, found.update_teachers) == (None, [1, 0])
    found = with_defaults(MetaDistil, quiz_batch="8", divide_by_pilot_rate="false")
    assert (found.quiz_batch, found.divide_by_pilot_rate) == (8, False)


@pytest.mark.parametrize(
    ("target", "argument", "value"),
    [
        (KD_TARGET, "temperature", "hot"),
        (KD_TARGET, "temperature", True),
        (KD_TARGET, "temperature", None),
        (KD_TARGET, "temperature", [2.0]),
        (METADISTIL, "quiz_batch", 1.5),
        (METADISTIL, "quiz_batch", True),
        (METADISTIL, "quiz_batch", "many"),
        (METADISTIL, "update_teachers", 0),
        (METADISTIL, "update_teachers", ["bert"]),
        (METADISTIL, "divide_by_pilot_rate", "maybe"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_its_key(
    target: str, argument: str, value: object
) -> None:
    error = refused(target, **{argument: value})
    assert error.key == f"method.stages.kd.algorithm.{argument}"
    assert "wrong type" in error.what


@pytest.mark.parametrize(
    ("target", "argument", "value"),
    [
        (KD_TARGET, "temperature", 0),
        (KD_TARGET, "temperature", -1.0),
        (KD_TARGET, "temperature", float("inf")),
        (KD_TARGET, "temperature", float("nan")),
        (KD_TARGET, "alpha", -0.01),
        (KD_TARGET, "alpha", 1.01),
        (KD_TARGET, "alpha", float("nan")),
        (KD_TARGET, "soft_loss", "KL"),
        (METADISTIL, "alpha", 2),
        (METADISTIL, "pilot_learning_rate", 0),
        (METADISTIL, "pilot_learning_rate", float("inf")),
        (METADISTIL, "teacher_learning_rate", -1e-6),
        (METADISTIL, "quiz_batch", 0),
        (METADISTIL, "real_step_mask", "new"),
        (METADISTIL, "derivative", "double_backward"),
        (METADISTIL, "finite_difference_length", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(
    target: str, argument: str, value: object
) -> None:
    with pytest.raises(Refused) as caught:
        with_defaults({KD_TARGET: KD, METADISTIL: MetaDistil}[target], **{argument: value})
    assert caught.value.key == f"method.{argument}"
    assert "rule:" in str(caught.value)


def test_the_ends_of_a_range_are_in_it() -> None:
    for alpha in (0, 1):
        with_defaults(KD, alpha=alpha)
    with_defaults(MetaDistil, teacher_learning_rate=0, quiz_batch=1)


def test_a_setting_that_the_yaml_leaves_out_is_asked_for() -> None:
    error = refused(KD_TARGET, temperature=2.0, soft_loss="kl")
    assert error.what == "KD needs alpha."
    assert error.rule == "a number, 0..1"


def test_the_blame_falls_on_the_key_that_fills_a_setting() -> None:
    settings = {"temperature": 0.0, "alpha": 0.5, "soft_loss": "kl"}
    with pytest.raises(Refused) as caught:
        make_algorithm(
            {"_target_": KD_TARGET, **settings}, key_of={"temperature": "method.heat"}.__getitem__
        )
    assert caught.value.key == "method.heat"


def test_an_argument_that_the_class_has_not_is_refused_with_those_it_has() -> None:
    error = refused(KD_TARGET, temprature=2.0)
    assert error.key == "method.stages.kd.algorithm.temprature"
    assert "temperature, alpha, soft_loss" in str(error)


@pytest.mark.parametrize(
    "target", [None, "", "KD", "distill_runner.methods.kd.Kd", "distill_runner.methods.none.KD"]
)
def test_a_class_that_is_not_there_is_refused(target: object) -> None:
    error = refused(target)
    assert error.key == "method.stages.kd.algorithm._target_"
    assert "no such class" in error.what


@pytest.mark.parametrize("target", ["collections.OrderedDict", "distill_runner.errors.Refused"])
def test_a_class_that_is_no_algorithm_is_refused(target: str) -> None:
    error = refused(target)
    assert error.key == "method.stages.kd.algorithm._target_"
    assert "as an algorithm" in error.what


def test_a_class_without_an_algorithms_methods_is_refused() -> None:
    error = refused("distill_runner.methods.kd.SoftTargets")
    assert error.key == "method.stages.kd.algorithm._target_"


def test_a_mean_of_probabilities_cannot_be_regressed_on() -> None:
    with pytest.raises(Refused, match=r"teacher\.combine = 'prob_mean'"):
        with_defaults(KD, soft_loss="mse_logits").check(joined_by(Combine.prob_mean))
    with_defaults(KD, soft_loss="mse_logits").check(joined_by(Combine.logit_mean))
    with_defaults(KD, soft_loss="kl").check(joined_by(Combine.prob_mean))


def test_a_formula_shows_the_settings() -> None:
    assert FineTune().formula(Classification()) == "L = CE(y, s)"
    formula = with_defaults(KD, temperature=5.0, alpha=0.25).formula(Classification())
    assert formula.endswith("0.25·5²·KL(t‖s), T=5")
    assert "2e-05" in with_defaults(MetaDistil).formula(Classification())
