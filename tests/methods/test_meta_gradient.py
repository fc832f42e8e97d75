"""MetaDistil's teacher gradient, held against a double backward and against the quiz itself.

All in float64. The reference differentiates the pilot step as a graph, which the package
never does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from support.algorithms import with_defaults
from support.learners import NewLearner
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.config.schema import Combine
from distill_runner.data.encoding import Inputs
from distill_runner.errors import Refused
from distill_runner.methods.base import Update
from distill_runner.methods.batch import Address, Batch, Quiz
from distill_runner.methods.metadistil import MetaDistil
from distill_runner.methods.pilot import pilot_forward
from distill_runner.models.learner import Learner
from distill_runner.models.teachers import LiveTeachers
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.objectives.logits import SOFT_LOSSES
from distill_runner.planning.stage_context import Context
from distill_runner.runtime.seeding import seed_at
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.regression import Regression
from distill_runner.training.optim import adamw

ETA = 0.05
TEXTS = ["a good film", "no", "dull, slow and bad", "they say it is the best of them"]
QUIZ_TEXTS = ["not bad", "the worst film of the year", "warm and funny"]
ADDRESS = Address(seed=3, epoch=1, step=7)

every_loss = pytest.mark.parametrize("soft_loss", SOFT_LOSSES)
with_and_without_dropout = pytest.mark.parametrize("dropout", [0.0, 0.3])


@dataclass(frozen=True)
class Cast:
    """Who plays, and what each of them reads."""

    student: Learner
    teachers: tuple[Learner, ...]
    source: LiveTeachers
    labels: Tensor
    quiz_labels: Tensor

    def inputs(self, learner: Learner, texts: Sequence[str]) -> Inputs:
        columns = learner.encoder.tokenize(texts)
        return learner.encoder.pad({"input_ids": columns["input_ids"]})  # type: ignore[dict-item]

    def batch(self) -> Batch:
        def draw(size: int | None) -> Quiz:
            assert size is None
            # In two pieces, as the loop cuts it; the references take it in one.
            pieces = (QUIZ_TEXTS[:1], QUIZ_TEXTS[1:])
            inputs = tuple(self.inputs(self.student, piece) for piece in pieces)
            return Quiz(inputs, self.quiz_labels)

        return Batch(
            student=self.student,
            student_inputs=self.inputs(self.student, TEXTS),
            task=Regression() if self.labels.is_floating_point() else Classification(),
            labels=self.labels,
            teachers=self.source,
            ids=[f"row {at}" for at in range(len(TEXTS))],
            teacher_inputs=lambda: [self.inputs(teacher, TEXTS) for teacher in self.teachers],
            draw_quiz=draw,
            address=ADDRESS,
        )

    def teacher_weights(self) -> list[Tensor]:
        return [weight for teacher in self.teachers for _, weight in teacher.trainable()]


def cast(
    new_learner: NewLearner,
    *,
    student: str = "distilbert",
    teachers: Sequence[str] = ("bert",),
    dropout: float = 0.0,
    combine: Combine = Combine.logit_mean,
    trained: Sequence[int] | None = None,
    classes: int = 3,
    dtype: torch.dtype = torch.float64,
) -> Cast:
    pupil = new_learner(student, seed=1, classes=classes, dropout=dropout, dtype=dtype)
    masters = tuple(
        new_learner(family, seed=11 + at, classes=classes, dropout=0.1, dtype=dtype)
        for at, family in enumerate(teachers)
    )
    ensemble = Ensemble(combine, ((1.0,), (0.3, 0.7))[len(masters) - 1])
    chosen = range(len(masters)) if trained is None else trained
    source = LiveTeachers(masters, ensemble, torch.device("cpu"), trained=list(chosen))
    return Cast(
        pupil, masters, source, torch.tensor([0, 2, 1, 0]) % classes, torch.tensor([1, 0, 1])
    )


def algorithm(**settings: object) -> MetaDistil:
    asked = {"temperature": 2.0, "alpha": 0.6, "pilot_learning_rate": ETA, "quiz_batch": None}
    return with_defaults(MetaDistil, **{**asked, **settings})  # type: ignore[arg-type]


# --- the reference -----------------------------------------------------------------------


def quiz_loss(method: MetaDistil, actors: Cast, *, create_graph: bool) -> Tensor:
    """The quiz loss of the assumed student, from scratch, by the definition."""
    module = actors.student.module
    weights = dict(actors.student.trainable())
    at = ADDRESS
    with sdpa_kernel(SDPBackend.MATH):
        module.train()
        torch.manual_seed(seed_at(at.seed, "dropout", at.epoch, at.step, at.micro, "pilot"))
        inputs = actors.inputs(actors.student, TEXTS)
        logits = functional_call(module, weights, (), inputs).logits
        each = torch.stack([t.module(**actors.inputs(t, TEXTS)).logits for t in actors.teachers])
        joined = actors.source.join(each, method.temperature)
        soft = SOFT_LOSSES[method.soft_loss].function(logits, joined, method.temperature)
        loss = (1 - method.alpha) * hard(logits, actors.labels) + method.alpha * soft
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=create_graph)
        moved = {
            name: weight - method.pilot_learning_rate * gradient
            for (name, weight), gradient in zip(weights.items(), gradients, strict=True)
        }
        module.eval()
        quiz = functional_call(module, moved, (), actors.inputs(actors.student, QUIZ_TEXTS))
        module.train()
    return hard(quiz.logits, actors.quiz_labels)


def hard(logits: Tensor, labels: Tensor) -> Tensor:
    if logits.shape[-1] == 1:
        return ((logits[:, 0] - labels) ** 2).mean()
    return F.cross_entropy(logits, labels)


def double_backward(method: MetaDistil, actors: Cast) -> Tensor:
    """∇_{θ_T} L_q with the pilot step as a graph, one flat vector."""
    loss = quiz_loss(method, actors, create_graph=True)
    return flat(torch.autograd.grad(loss, actors.teacher_weights(), materialize_grads=True))


def by_surrogate(method: MetaDistil, actors: Cast) -> Tensor:
    """The same by the package: the gradient of the teacher's update, one flat vector."""
    update = next(method.updates(actors.batch()))
    assert update.role == "teacher"
    gradients = torch.autograd.grad(update.loss, actors.teacher_weights(), materialize_grads=True)
    return flat(gradients)


def flat(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat([part.detach().flatten() for part in parts])


def apart(found: Tensor, wanted: Tensor) -> float:
    """Relative distance; the wanted one must not be zero."""
    assert wanted.norm() > 0
    return float((found - wanted).norm() / wanted.norm())


# --- exact -------------------------------------------------------------------------------


@every_loss
@with_and_without_dropout
def test_the_surrogates_gradient_is_the_double_backward(
    new_learner: NewLearner, soft_loss: str, dropout: float
) -> None:
    actors, method = cast(new_learner, dropout=dropout), algorithm(soft_loss=soft_loss)
    assert apart(by_surrogate(method, actors), double_backward(method, actors)) < 1e-10


@pytest.mark.parametrize("student", ["bert", "roberta", "distilbert"])
@with_and_without_dropout
def test_so_it_is_for_students_of_every_family(
    new_learner: NewLearner, student: str, dropout: float
) -> None:
    actors = cast(new_learner, student=student, teachers=["roberta"], dropout=dropout, classes=2)
    found, wanted = by_surrogate(algorithm(), actors), double_backward(algorithm(), actors)
    assert apart(found, wanted) < 1e-10


@pytest.mark.parametrize("combine", list(Combine))
@pytest.mark.parametrize("temperature", [1.0, 5.0])
def test_so_it_is_for_two_teachers_and_both_move(
    new_learner: NewLearner, combine: Combine, temperature: float
) -> None:
    actors = cast(new_learner, teachers=["bert", "roberta"], combine=combine, dropout=0.3)
    method = algorithm(temperature=temperature)
    found, wanted = by_surrogate(method, actors), double_backward(method, actors)
    assert apart(found, wanted) < 1e-10
    first = sum(weight.numel() for _, weight in actors.teachers[0].trainable())
    assert found[:first].norm() > 0
    assert found[first:].norm() > 0


def test_the_same_holds_for_one_teacher_with_outputs_in_another_order(
    new_learner: NewLearner,
) -> None:
    actors, method = cast(new_learner, dropout=0.3), algorithm(alpha=1.0)
    teacher, order = actors.teachers[0], (2, 0, 1)
    plain = by_surrogate(method, actors)
    renamed = Learner(teacher.name, teacher.module, teacher.encoder, columns=order)
    source = LiveTeachers(
        [renamed], Ensemble(Combine.logit_mean, (1.0,)), torch.device("cpu"), trained=[0]
    )
    mapped = replace(actors, source=source, teachers=(renamed,))
    with torch.no_grad():
        head = teacher.module.classifier
        for weight in (head.weight, head.bias):
            weight[list(order)] = weight.clone()
    # The head's rows moved and are mapped back: the body must not notice.
    body = sum(w.numel() for n, w in teacher.trainable() if not n.startswith("classifier"))
    assert apart(by_surrogate(method, mapped)[:body], plain[:body]) < 1e-10


@with_and_without_dropout
def test_so_it_is_for_scores(new_learner: NewLearner, dropout: float) -> None:
    scores = {"labels": torch.tensor([0.5, 3.0, -1.0, 2.0]), "quiz_labels": torch.tensor([4, 0, 1])}
    actors = replace(cast(new_learner, classes=1, dropout=dropout), **scores)
    method = algorithm(soft_loss="mse_logits")
    assert apart(by_surrogate(method, actors), double_backward(method, actors)) < 1e-10


def test_a_mask_of_another_address_would_give_another_gradient(new_learner: NewLearner) -> None:
    actors = cast(new_learner, dropout=0.3)
    batch = actors.batch()
    elsewhere = replace(batch, address=replace(ADDRESS, step=8))
    assert not torch.equal(pilot_forward(batch), pilot_forward(elsewhere))
    assert torch.equal(pilot_forward(batch), pilot_forward(batch))


# --- against the quiz itself -------------------------------------------------------------


@every_loss
@with_and_without_dropout
def test_moving_the_teacher_changes_the_quiz_loss_as_the_gradient_says(
    new_learner: NewLearner, soft_loss: str, dropout: float
) -> None:
    actors, method = cast(new_learner, dropout=dropout), algorithm(soft_loss=soft_loss)
    gradient = by_surrogate(method, actors)
    steepest = gradient / gradient.norm()
    generator = torch.Generator().manual_seed(5)
    anyhow = torch.randn(len(gradient), generator=generator, dtype=torch.float64)
    for direction in (steepest, steepest + anyhow / anyhow.norm()):
        # A short step: DistilBERT's head has a ReLU, and a long one crosses its kinks.
        found = slope_along(direction, method, actors, step=1e-5)
        assert found == pytest.approx(float(gradient @ direction), rel=1e-4)


def slope_along(direction: Tensor, method: MetaDistil, actors: Cast, *, step: float) -> float:
    """Central difference of the quiz loss, pilot and quiz redone from scratch at both ends."""
    weights = actors.teacher_weights()
    before = [weight.detach().clone() for weight in weights]
    ends = []
    for sign in (+1, -1):
        with torch.no_grad():
            at = 0
            for weight, old in zip(weights, before, strict=True):
                part = direction[at : at + weight.numel()].view_as(weight)
                weight.copy_(old + sign * step * part)
                at += weight.numel()
        ends.append(quiz_loss(method, actors, create_graph=False).item())
    with torch.no_grad():
        for weight, old in zip(weights, before, strict=True):
            weight.copy_(old)
    return (ends[0] - ends[1]) / (2 * step)


def test_a_teacher_step_against_the_gradient_makes_the_assumed_student_do_better(
    new_learner: NewLearner,
) -> None:
    actors, method = cast(new_learner, dropout=0.3), algorithm(pilot_learning_rate=0.5)
    before = quiz_loss(method, actors, create_graph=False)
    gradient = by_surrogate(method, actors)
    step = 1e-3 / gradient.norm()
    with torch.no_grad():
        parts = gradient.split([weight.numel() for weight in actors.teacher_weights()])
        for weight, part in zip(actors.teacher_weights(), parts, strict=True):
            weight -= step * part.view_as(weight)
    assert quiz_loss(method, actors, create_graph=False) < before


def test_the_gradient_is_proportional_to_eta_in_the_limit(new_learner: NewLearner) -> None:
    actors = cast(new_learner)
    norms = [
        by_surrogate(algorithm(pilot_learning_rate=eta), actors).norm() for eta in (1e-6, 1e-5)
    ]
    assert float(norms[1] / norms[0]) == pytest.approx(10, rel=1e-3)


def test_without_a_soft_term_the_teacher_has_no_gradient(new_learner: NewLearner) -> None:
    assert by_surrogate(algorithm(alpha=0.0), cast(new_learner)).norm() == 0


# --- two plain forwards ------------------------------------------------------------------


@every_loss
@with_and_without_dropout
def test_the_finite_difference_form_agrees_with_the_exact_one(
    new_learner: NewLearner, soft_loss: str, dropout: float
) -> None:
    actors = cast(new_learner, dropout=dropout)
    exact = by_surrogate(algorithm(soft_loss=soft_loss), actors)
    method = algorithm(
        soft_loss=soft_loss, derivative="finite_difference", finite_difference_length=1e-4
    )
    assert apart(by_surrogate(method, actors), exact) < 1e-5


# --- the round ---------------------------------------------------------------------------


def play(method: MetaDistil, actors: Cast, *, rate: float = 0.01) -> list[Update]:
    """One round as the loop plays it: each role steps before the next update is asked for."""
    people = {"teacher": actors.teachers, "student": (actors.student,)}
    updates = []
    for update in method.updates(actors.batch()):
        weights = [weight for one in people[update.role] for _, weight in one.trainable()]
        for weight in weights:
            weight.grad = None
        update.loss.backward(inputs=weights)
        settings = method.settings_of(update.role)
        optimizer = adamw(
            people[update.role],
            learning_rate=rate if settings.learning_rate is None else settings.learning_rate,
            weight_decay=0.01,
            eps_factor=settings.eps_factor,
        )
        optimizer.step()
        updates.append(update)
    return updates


def student_gradient(actors: Cast) -> Tensor:
    return flat([weight.grad for _, weight in actors.student.trainable()])  # type: ignore[misc]


def copies(learners: Sequence[Learner]) -> list[Tensor]:
    return [weight.detach().clone() for one in learners for weight in one.module.parameters()]


def test_a_round_is_teacher_then_student_and_both_move(new_learner: NewLearner) -> None:
    actors = cast(new_learner, teachers=["bert", "roberta"], dropout=0.3)
    before = [copies([learner]) for learner in (actors.student, *actors.teachers)]
    updates = play(algorithm(teacher_learning_rate=0.01), actors)
    after = [copies([learner]) for learner in (actors.student, *actors.teachers)]
    assert [update.role for update in updates] == ["teacher", "student"]
    for old, new in zip(before, after, strict=True):
        assert all(not torch.equal(a, b) for a, b in zip(old, new, strict=True) if a.ndim > 1)
    assert set(updates[0].terms) == {"quiz", "quiz_accuracy"}
    assert set(updates[1].terms) == {"hard", "soft"}


def test_a_teacher_whose_learning_rate_is_0_stays_put_to_the_last_bit(
    new_learner: NewLearner,
) -> None:
    actors = cast(new_learner, dropout=0.3)
    before, student_before = copies(actors.teachers), copies([actors.student])
    for _ in range(3):
        play(algorithm(teacher_learning_rate=0.0), actors)
    assert all(map(torch.equal, before, copies(actors.teachers)))
    assert not all(map(torch.equal, student_before, copies([actors.student])))


def test_only_the_teachers_that_update_teachers_names_are_moved(new_learner: NewLearner) -> None:
    method = algorithm(update_teachers=[1], teacher_learning_rate=0.01)
    trained = method.needs.positions_trained(2)
    actors = cast(new_learner, teachers=["bert", "roberta"], trained=trained)
    still, moving = copies(actors.teachers[:1]), copies(actors.teachers[1:])
    play(method, actors)
    assert all(map(torch.equal, still, copies(actors.teachers[:1])))
    assert not all(map(torch.equal, moving, copies(actors.teachers[1:])))


@pytest.mark.parametrize("chosen", [[], [2], [-1], [0, 0]])
def test_teachers_that_are_not_there_cannot_be_updated(chosen: list[int]) -> None:
    two_teachers = Context(
        "metadistil",
        teachers=2,
        combine=Combine.logit_mean,
        task=Classification.rules,
        compiled=False,
    )
    with pytest.raises(Refused, match=r"method\.update_teachers"):
        algorithm(update_teachers=chosen).check(two_teachers)


def test_the_pilot_leaves_the_student_as_it_was(new_learner: NewLearner) -> None:
    actors = cast(new_learner, dropout=0.3)
    before = copies([actors.student])
    next(algorithm().updates(actors.batch()))
    assert all(map(torch.equal, before, copies([actors.student])))
    assert actors.student.module.training
    assert all(weight.grad is None for _, weight in actors.student.trainable())


@with_and_without_dropout
def test_the_real_step_on_the_pilots_mask_equals_that_forward_made_again(
    new_learner: NewLearner, dropout: float
) -> None:
    actors = cast(new_learner, dropout=dropout)
    method = algorithm(real_step_mask="same", teacher_learning_rate=0.01)
    start = [weight.detach().clone() for _, weight in actors.student.trainable()]
    play(method, actors)
    kept = student_gradient(actors)
    with torch.no_grad():
        for (_, weight), old in zip(actors.student.trainable(), start, strict=True):
            weight.copy_(old)
            weight.grad = None
    # The teachers are already the updated ones.
    batch = actors.batch()
    with torch.no_grad():
        joined = batch.joined_teacher_logits(method.temperature)
    loss, _ = method.distillation_loss(batch.task, pilot_forward(batch), joined, actors.labels)
    loss.backward()
    assert apart(kept, student_gradient(actors)) < 1e-12


def test_a_fresh_mask_is_another_mask_and_no_mask_is_needed_without_dropout(
    new_learner: NewLearner,
) -> None:
    def gradient(mask: str, dropout: float) -> Tensor:
        actors = cast(new_learner, dropout=dropout)
        play(algorithm(real_step_mask=mask), actors)
        return student_gradient(actors)

    assert apart(gradient("fresh", 0.0), gradient("same", 0.0)) < 1e-12
    assert apart(gradient("fresh", 0.3), gradient("same", 0.3)) > 1e-2


def test_the_real_step_is_taken_under_the_updated_teachers(new_learner: NewLearner) -> None:
    def soft(rate: float) -> float:
        updates = play(algorithm(teacher_learning_rate=rate), cast(new_learner))
        return updates[1].terms["soft"].item()

    assert soft(0.05) != soft(0.0)


def test_dividing_by_eta_is_the_same_as_a_smaller_eps() -> None:
    assert algorithm().settings_of("teacher").eps_factor == ETA
    assert algorithm(divide_by_pilot_rate=False).settings_of("teacher").eps_factor == 1.0
    assert algorithm().settings_of("student").eps_factor == 1.0


def test_bfloat16_points_the_teacher_the_same_way(new_learner: NewLearner) -> None:
    actors = cast(new_learner, teachers=["bert", "roberta"], dropout=0.1, dtype=torch.float32)
    full = by_surrogate(algorithm(), actors)
    with torch.autocast("cpu", torch.bfloat16):
        update = next(algorithm().updates(actors.batch()))
    assert update.loss.dtype is torch.float32
    mixed = flat(torch.autograd.grad(update.loss, actors.teacher_weights()))
    assert torch.cosine_similarity(full, mixed, dim=0) > 0.99
