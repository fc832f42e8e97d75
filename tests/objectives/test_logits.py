"""Each loss equals its equation in plain arithmetic, and its gradient has the right direction."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from support.algorithms import with_defaults
from torch import Tensor

from distill_runner.errors import Refused
from distill_runner.methods.kd import KD
from distill_runner.objectives.comparisons import DISTRIBUTIONS
from distill_runner.objectives.logits import (
    SOFT_LOSSES,
    distillation_formula,
    soft_loss,
)
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.regression import Regression

Rows = list[list[float]]

STUDENT = {
    2: [[0.3, -1.2], [2.0, 0.5], [-0.7, -0.1]],
    3: [[0.3, -1.2, 0.8], [2.0, 0.5, -3.0], [-0.7, -0.1, 0.0]],
}
TEACHER = {
    2: [[1.5, -0.4], [-2.5, 1.0], [0.2, 0.2]],
    3: [[1.5, -0.4, 0.1], [-2.5, 1.0, 4.0], [0.2, 0.2, -1.0]],
}
TEMPERATURES = (1.0, 2.0, 5.0)

OF_DISTRIBUTIONS = [name for name, one in SOFT_LOSSES.items() if one.compares == DISTRIBUTIONS]
every_loss = pytest.mark.parametrize("name", SOFT_LOSSES)
every_temperature = pytest.mark.parametrize("temperature", TEMPERATURES)
two_and_three_classes = pytest.mark.parametrize("classes", [2, 3])


def slow_softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def slow_kl(student: Rows, teacher: Rows, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for p, q in zip(slow_softmax(t, temperature), slow_softmax(s, temperature), strict=True):
            total += p * math.log(p / q)
    return total / len(student)


def slow_cross_entropy(student: Rows, teacher: Rows, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for p, q in zip(slow_softmax(t, temperature), slow_softmax(s, temperature), strict=True):
            total -= p * math.log(q)
    return total / len(student)


def slow_squares(student: Rows, teacher: Rows) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for ours, theirs in zip(s, t, strict=True):
            total += (ours - theirs) ** 2
    return total / (len(student) * len(student[0]))


def slow_mse_prob(student: Rows, teacher: Rows, temperature: float) -> float:
    softened = [[slow_softmax(row, temperature) for row in rows] for rows in (student, teacher)]
    return temperature**2 * slow_squares(*softened)


def slow_binary_cross_entropy(student: Rows, teacher: Rows, temperature: float) -> float:
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        for ours, theirs in zip(s, t, strict=True):
            p, q = (1 / (1 + math.exp(-value / temperature)) for value in (ours, theirs))
            total -= q * math.log(p) + (1 - q) * math.log(1 - p)
    return total / (len(student) * len(student[0]))


SLOW: dict[str, Callable[[Rows, Rows, float], float]] = {
    "kl": lambda s, t, T: T * T * slow_kl(s, t, T),
    "kl_elementwise": lambda s, t, T: T * T * slow_kl(s, t, T) / len(s[0]),
    "soft_ce": lambda s, t, T: T * T * slow_cross_entropy(s, t, T),
    "soft_ce_without_t2": slow_cross_entropy,
    "soft_ce_elementwise": lambda s, t, T: slow_cross_entropy(s, t, T) / len(s[0]),
    "mse_prob": slow_mse_prob,
    "soft_bce": lambda s, t, T: T * T * slow_binary_cross_entropy(s, t, T),
    "mse_logits": lambda s, t, _: slow_squares(s, t),
}


def tensor(rows: Rows) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def student_gradient(name: str, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    student = student.detach().clone().requires_grad_()
    loss = soft_loss(name).function(student, teacher, temperature)
    (gradient,) = torch.autograd.grad(loss, student)
    return gradient


def closed_gradient(name: str, student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """∂L/∂z_s by hand, from p_s and p_t alone."""
    batch, classes = student.shape
    p_s = torch.softmax(student / temperature, dim=-1)
    p_t = torch.softmax(teacher / temperature, dim=-1)
    difference = (p_s - p_t) / batch
    pulled = p_s * (difference - (p_s * difference).sum(dim=-1, keepdim=True))
    return {
        "kl": temperature * difference,
        "kl_elementwise": temperature * difference / classes,
        "soft_ce": temperature * difference,
        "soft_ce_without_t2": difference / temperature,
        "soft_ce_elementwise": difference / temperature / classes,
        "mse_prob": 2 * temperature * pulled / classes,
        "soft_bce": temperature
        * (torch.sigmoid(student / temperature) - torch.sigmoid(teacher / temperature))
        / (batch * classes),
        "mse_logits": 2 * (student - teacher) / (batch * classes),
    }[name]


@every_loss
@two_and_three_classes
@every_temperature
def test_a_soft_loss_equals_its_equation_by_plain_arithmetic(
    name: str, classes: int, temperature: float
) -> None:
    student, teacher = STUDENT[classes], TEACHER[classes]
    found = soft_loss(name).function(tensor(student), tensor(teacher), temperature).item()
    assert found == pytest.approx(SLOW[name](student, teacher, temperature), rel=1e-12)


@every_loss
@two_and_three_classes
@every_temperature
def test_a_soft_losss_gradient_equals_its_closed_form(
    name: str, classes: int, temperature: float
) -> None:
    given = tensor(STUDENT[classes]), tensor(TEACHER[classes]), temperature
    torch.testing.assert_close(student_gradient(name, *given), closed_gradient(name, *given))


@every_loss
@every_temperature
def test_a_student_that_agrees_with_its_teacher_feels_no_pull(
    name: str, temperature: float
) -> None:
    teacher = tensor(TEACHER[3])
    gradient = student_gradient(name, teacher, teacher, temperature)
    assert gradient.abs().max() < 1e-15
    if "ce" not in name:
        value = soft_loss(name).function(teacher, teacher, temperature).item()
        assert value == pytest.approx(0.0, abs=1e-15)


@pytest.mark.parametrize(
    "name", [name for name, loss in SOFT_LOSSES.items() if loss.compares == DISTRIBUTIONS]
)
def test_distributions_agree_where_logits_differ_by_a_constant(name: str) -> None:
    teacher = tensor(TEACHER[3])
    assert student_gradient(name, teacher + 7.0, teacher, 2.0).abs().max() < 1e-14


@pytest.mark.parametrize("name", ["soft_ce", "soft_ce_without_t2", "soft_ce_elementwise"])
def test_a_soft_cross_entropy_ends_at_the_teachers_entropy(name: str) -> None:
    teacher, temperature = TEACHER[3], 2.0
    probs = [slow_softmax(row, temperature) for row in teacher]
    entropy = -sum(p * math.log(p) for row in probs for p in row) / len(probs)
    scale = {"soft_ce": temperature**2, "soft_ce_elementwise": 1 / 3}.get(name, 1.0)
    found = soft_loss(name).function(tensor(teacher), tensor(teacher), temperature).item()
    assert found == pytest.approx(scale * entropy)


@every_loss
@two_and_three_classes
@every_temperature
def test_a_small_step_down_brings_the_student_nearer_to_its_teacher(
    name: str, classes: int, temperature: float
) -> None:
    student, teacher = tensor(STUDENT[classes]), tensor(TEACHER[classes])
    gradient = student_gradient(name, student, teacher, temperature)
    moved = student - 1e-3 * gradient

    def distance(logits: Tensor) -> Tensor:
        if SOFT_LOSSES[name].compares != DISTRIBUTIONS:
            return (logits - teacher).norm(dim=-1)
        return SOFT_LOSSES["kl"].function(logits, teacher, temperature)

    assert (distance(moved) < distance(student)).all()
    sure = soft_loss(name).function(moved, teacher, temperature) < soft_loss(name).function(
        student, teacher, temperature
    )
    assert sure


@every_loss
def test_logits_of_different_shapes_are_an_error_and_are_not_broadcast(name: str) -> None:
    for other in ((3, 3), (1, 2), (2,)):
        with pytest.raises(ValueError, match="must agree in shape"):
            soft_loss(name).function(torch.zeros(3, 2), torch.zeros(other), 2.0)


@every_loss
def test_the_teachers_logits_keep_their_gradient(name: str) -> None:
    teacher = tensor(TEACHER[3]).requires_grad_()
    soft_loss(name).function(tensor(STUDENT[3]), teacher, 2.0).backward()
    assert teacher.grad is not None
    assert teacher.grad.norm() > 0


@pytest.mark.parametrize("name", SOFT_LOSSES)
def test_very_sure_logits_give_a_finite_loss_in_float32(name: str) -> None:
    student = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = soft_loss(name).function(student, torch.tensor([[-200.0, 200.0]]), 1.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


@two_and_three_classes
@every_temperature
def test_kl_and_soft_cross_entropy_pull_alike(classes: int, temperature: float) -> None:
    given = tensor(STUDENT[classes]), tensor(TEACHER[classes]), temperature
    torch.testing.assert_close(
        student_gradient("kl", *given), student_gradient("soft_ce", *given), rtol=1e-12, atol=0
    )


# --- scale: what a copied alpha means ----------------------------------------------------


def scale_against_kl(name: str, classes: int, temperature: float) -> float:
    """Mean gradient norm of a row relative to T²·KL: teacher logits N(0, 3), student N(0, 1)."""
    generator = torch.Generator().manual_seed(0)
    shape = (4000, classes)
    student = torch.randn(shape, generator=generator, dtype=torch.float64)
    teacher = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    ours, canonical = (
        student_gradient(which, student, teacher, temperature).norm(dim=-1).mean()
        for which in (name, "kl")
    )
    return float(ours / canonical)


@two_and_three_classes
@every_temperature
def test_cross_entropies_without_t2_are_weaker_by_a_known_factor(
    classes: int, temperature: float
) -> None:
    weaker = scale_against_kl("soft_ce_without_t2", classes, temperature)
    weakest = scale_against_kl("soft_ce_elementwise", classes, temperature)
    assert weaker == pytest.approx(1 / temperature**2)
    assert weakest == pytest.approx(1 / temperature**2 / classes)
    assert scale_against_kl("kl_elementwise", classes, temperature) == pytest.approx(1 / classes)


@pytest.mark.parametrize(
    ("name", "classes", "temperature", "measured_elsewhere"),
    [
        ("soft_ce_without_t2", 2, 5.0, 0.040),
        ("soft_ce_elementwise", 3, 5.0, 0.013),
        ("mse_prob", 2, 1.0, 0.35),
        ("mse_prob", 2, 5.0, 0.49),
        ("mse_prob", 3, 5.0, 0.22),
        ("mse_logits", 2, 1.0, 6.9),
        ("mse_logits", 2, 5.0, 3.5),
        ("mse_logits", 3, 5.0, 2.7),
    ],
)
def test_the_losses_of_other_code_bases_pull_as_hard_as_was_measured_there(
    name: str, classes: int, temperature: float, measured_elsewhere: float
) -> None:
    found = scale_against_kl(name, classes, temperature)
    assert found == pytest.approx(measured_elsewhere, rel=0.06)


def test_t_squared_keeps_the_pull_of_kl_within_its_hot_limit_as_t_grows() -> None:
    # As T → ∞ the gradient tends to (centred z_s − centred z_t) / (B·C): no T is left in it.
    student, teacher = tensor(STUDENT[3]), tensor(TEACHER[3])
    difference = student - teacher
    limit = (difference - difference.mean(dim=-1, keepdim=True)) / student.numel()
    hot = student_gradient("kl", student, teacher, 1e4)
    torch.testing.assert_close(hot, limit, rtol=1e-3, atol=1e-6)
    norms = [float(student_gradient("kl", student, teacher, T).norm()) for T in (1, 2, 5, 10, 100)]
    assert max(norms) / min(norms) < 3
    bare = [norm / T**2 for norm, T in zip(norms, (1, 2, 5, 10, 100), strict=True)]
    assert max(bare) / min(bare) > 3000


# --- the mix -----------------------------------------------------------------------------


@every_loss
def test_alpha_0_is_exactly_the_hard_label_loss_and_its_gradient(name: str) -> None:
    labels = torch.tensor([0, 2, 1])
    gradients = []
    for algorithm in (with_defaults(KD, alpha=0.0, temperature=3.0, soft_loss=name), None):
        student = torch.tensor(STUDENT[3], requires_grad=True)
        if algorithm is None:
            loss = Classification().hard_loss(student, labels)
        else:
            loss, _ = algorithm.distillation_loss(
                Classification(), student, torch.tensor(TEACHER[3]), labels
            )
        (gradient,) = torch.autograd.grad(loss, student)
        gradients.append((loss.item(), gradient))
    assert gradients[0][0] == gradients[1][0]
    assert torch.equal(gradients[0][1], gradients[1][1])


@every_loss
def test_alpha_weighs_the_soft_term_and_the_terms_are_reported_unweighted(name: str) -> None:
    labels = torch.tensor([0, 2, 1])
    student, teacher = tensor(STUDENT[3]), tensor(TEACHER[3])
    loss, terms = with_defaults(KD, alpha=0.3, temperature=5.0, soft_loss=name).distillation_loss(
        Classification(), student, teacher, labels
    )
    hard = -sum(
        math.log(slow_softmax(row, 1.0)[label])
        for row, label in zip(STUDENT[3], labels.tolist(), strict=True)
    )
    soft = SLOW[name](STUDENT[3], TEACHER[3], 5.0)
    assert terms["hard"].item() == pytest.approx(hard / 3)
    assert terms["soft"].item() == pytest.approx(soft)
    assert loss.item() == pytest.approx(0.7 * hard / 3 + 0.3 * soft)


def test_every_loss_has_a_formula_that_shows_its_temperature() -> None:
    kl = distillation_formula("kl", hard="CE", alpha=0.25, temperature=2.0)
    assert kl == "L = 0.75·CE(y, s) + 0.25·2²·KL(t‖s), T=2"
    logits = distillation_formula("mse_logits", hard="CE", alpha=1.0, temperature=2.0)
    assert logits == "L = 0·CE(y, s) + 1·1/C·‖s − t‖²"


def test_a_loss_that_does_not_exist_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"method\.soft_loss = 'kll'") as caught:
        soft_loss("kll")
    assert "soft_ce_elementwise" in str(caught.value)


def test_an_answer_is_right_where_the_largest_logit_is_the_labels() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [5.0, 4.0]])
    right = Classification().right(logits, torch.tensor([1, 0, 0, 0]))
    assert right.tolist() == [True, True, False, True]


def test_the_hard_loss_of_scores_is_the_squared_error() -> None:
    scores, labels = torch.tensor([[0.5], [2.0], [-1.0]]), torch.tensor([1.0, 4.5, -1.0])
    found = Regression().hard_loss(scores, labels)
    assert found == pytest.approx((0.5**2 + 2.5**2 + 0) / 3)
    assert Regression().hard_loss(scores, torch.tensor([1, 4, 0])).dtype == torch.float32


def test_the_formula_of_scores_names_the_squared_error() -> None:
    formula = with_defaults(KD, soft_loss="mse_logits").formula(Regression())
    assert formula == "L = 0.5·MSE(y, s) + 0.5·1/C·‖s − t‖²"
