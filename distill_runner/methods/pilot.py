"""MetaDistil's teacher gradient without a second-order graph.

    pilot   θ' = θ_S − η ∇_{θ_S} L(x; θ_S, z_T)
    quiz    L_q = CE(q; θ'),   v = ∇_{θ'} L_q
    wanted  ∇_{θ_T} L_q = −η ∇_{θ_T} ⟨ c(z_S, z_T), J_S v ⟩,   c = ∂L/∂z_S

The teachers enter L only through their logits z_T, and θ' is linear in ∇L. So one directional
derivative of the student's logits, J_S v, replaces the second-order graph: `teacher_surrogate`
is a scalar whose ordinary gradient in θ_T is the one wanted. J_S v must be taken under the
pilot's dropout mask: same address, same kernel, same shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.methods.batch import Batch, Quiz
from distill_runner.models.architecture.families import no_forward_derivative
from distill_runner.models.learner import Learner

DERIVATIVES = ("jvp", "finite_difference")
Loss = Callable[[Tensor, Tensor], Tensor]  # (student logits, teacher logits) -> scalar


@dataclass(frozen=True)
class Pilot:
    """The assumed student θ', and the tensors from which the teachers' gradient is computed."""

    weights: dict[str, Tensor]  # θ', each a leaf
    student_logits: Tensor  # z_S at θ_S; keeps its graph only if the real step reuses it
    teacher_logits: Tensor  # [teachers, batch, classes], with their graph
    loss: Loss
    learning_rate: float

    @classmethod
    def take(
        cls,
        student: Learner,
        *,
        student_logits: Tensor,
        teacher_logits: Tensor,
        loss: Loss,
        learning_rate: float,
        keep_graph: bool,
    ) -> Pilot:
        """Take one plain SGD step of size η into a dict; the student itself does not change."""
        names, weights = zip(*student.trainable(), strict=True)
        gradients = torch.autograd.grad(
            loss(student_logits, teacher_logits.detach()),
            weights,
            retain_graph=keep_graph,
            materialize_grads=True,  # not every weight takes part: XLNet's mask, idle experts
        )
        with torch.no_grad():
            moved = {
                name: (weight - learning_rate * gradient).requires_grad_()
                for name, weight, gradient in zip(names, weights, gradients, strict=True)
            }
        logits = student_logits if keep_graph else student_logits.detach()
        return cls(moved, logits, teacher_logits, loss, learning_rate)

    def logits_of(self, student: Learner, quiz: Quiz) -> Tensor:
        """Return the assumed student's logits on the quiz, dropout off. [quiz rows, classes]."""
        with student.evaluating(), student.with_weights(self.weights):
            return torch.cat([student.logits(piece) for piece in quiz.inputs])

    def gradient(self, quiz_loss: Tensor) -> dict[str, Tensor]:
        """Return v = ∇_{θ'} L_q, without a graph."""
        weights = list(self.weights.values())
        gradients = torch.autograd.grad(quiz_loss, weights, materialize_grads=True)
        return dict(zip(self.weights, gradients, strict=True))


def pilot_forward(batch: Batch) -> Tensor:
    """Return the student's logits under the pilot's dropout mask. [batch, classes].

    The pass always uses the math kernel: fused attention has no forward-mode derivative, and
    each kernel draws its dropout mask differently.
    """
    with sdpa_kernel(SDPBackend.MATH):
        return batch.student_logits("pilot")


def jvp(forward: Callable[[], Tensor], student: Learner, direction: dict[str, Tensor]) -> Tensor:
    """Return J_S v, the exact derivative of the student's logits along `direction`.

    Args:
        forward: returns the logits, [batch, classes], under the pilot's dropout mask.
        student: the learner that `forward` runs.
        direction: v, one tensor per trainable weight.

    Returns:
        [batch, classes], without a graph.

    Raises:
        Refused: a part of the student has no forward-mode derivative.
    """
    with torch.no_grad(), forward_ad.dual_level():
        duals = {
            name: forward_ad.make_dual(weight.detach(), direction[name])  # type: ignore[no-untyped-call]
            for name, weight in student.trainable()
        }
        try:
            with student.with_weights(duals):
                tangent: Tensor = forward_ad.unpack_dual(forward()).tangent  # type: ignore[no-untyped-call]
        except NotImplementedError:
            raise no_forward_derivative(student.module, key="student.model") from None
    return tangent.detach()


def finite_difference(
    forward: Callable[[], Tensor],
    student: Learner,
    direction: dict[str, Tensor],
    *,
    length: float,
) -> Tensor:
    """Approximate J_S v by a central difference: two plain forward passes in any kernel.

        J_S v ≈ ( z(θ + εv) − z(θ − εv) ) / 2ε,   ε = length / ‖v‖

    Args:
        forward, student, direction: as for `jvp`.
        length: ‖εv‖ > 0, the distance that the weights move.

    Returns:
        [batch, classes], without a graph; 0 if v is 0.
    """
    norm = torch.sqrt(sum((part.double() ** 2).sum() for part in direction.values()))  # type: ignore[arg-type]
    if norm == 0:
        return torch.zeros_like(forward())
    step = float(length / norm)

    def moved(sign: float) -> Tensor:
        weights = {
            name: weight.detach() + sign * step * direction[name]
            for name, weight in student.trainable()
        }
        with student.with_weights(weights):
            return forward()

    with torch.no_grad():
        return (moved(+1) - moved(-1)) / (2 * step)


def teacher_surrogate(pilot: Pilot, change: Tensor) -> Tensor:
    """Return −η · Σ c(z_S, z_T) · J_S v, a scalar whose gradient in θ_T is ∇_{θ_T} L_q.

    c = ∂L/∂z_S differentiates the loss in the logits only. So the only second-order graph is
    over [batch, classes] numbers, and c is exact for every soft loss.

    Args:
        pilot: the pilot step.
        change: J_S v, [batch, classes].
    """
    logits = pilot.student_logits.detach().requires_grad_()
    loss = pilot.loss(logits, pilot.teacher_logits)
    (slope,) = torch.autograd.grad(loss, logits, create_graph=True)
    return -pilot.learning_rate * (slope * change).sum()
