"""Provides teacher logits, computed live or read from the store, behind one interface."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill_runner.config.schema import Combine
from distill_runner.data.encoding import Inputs
from distill_runner.models.learner import Learner
from distill_runner.models.stored_logits import StoredLogits
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.tasks.base import Task

InputsOf = Callable[[], list[Inputs]]  # one per teacher, encoded with its tokenizer


class TeacherSource(ABC):
    """A set of teachers, and the rule that joins their logits.

    It also counts each teacher's correct predictions on the training rows: a teacher that is fed
    the wrong tokens raises no error, but its accuracy shows it.
    """

    learners: tuple[Learner, ...] = ()  # the teachers that read each batch themselves

    def __init__(self, names: Sequence[str], ensemble: Ensemble, device: torch.device) -> None:
        self.names = tuple(names)
        self._ensemble = ensemble
        self._right = torch.zeros(len(names), dtype=torch.float64, device=device)
        self._rows = 0

    @abstractmethod
    def logits(self, ids: Sequence[str], inputs: InputsOf) -> Tensor:
        """Return the logits of every teacher for these rows. [teachers, batch, classes]."""

    def knows(self, ids: Sequence[str]) -> np.ndarray:
        """Return whether every teacher has an answer for each of these rows. [rows]."""
        return np.ones(len(ids), dtype=bool)

    def token_states(self, inputs: Inputs) -> Tensor:  # noqa: ARG002
        """Return the last states of every token of the student's own inputs. [tokens, width]."""
        raise RuntimeError("an algorithm that declares no language asked for a teacher's tokens")

    def token_logits(self, states: Tensor) -> Tensor:  # noqa: ARG002
        """Return the logits of the teacher's language head for `states`. [tokens, vocabulary]."""
        raise RuntimeError("an algorithm that declares no language asked for a teacher's tokens")

    def join(self, logits: Tensor, temperature: float) -> Tensor:
        """Join the teachers: [teachers, batch, classes] → [batch, classes]."""
        return self._ensemble.join(logits, temperature)

    def count(self, task: Task, logits: Tensor, labels: Tensor) -> None:
        """Count each teacher's correct predictions in one training batch."""
        right = task.right(logits, labels)
        if right is None:
            return
        self._right += right.sum(dim=-1)
        # A hidden label, below 0, cannot be predicted, so its row does not count.
        self._rows += int((labels.reshape(len(labels), -1)[:, 0] >= 0).sum())

    def take_score(self) -> dict[str, float]:
        """Return each teacher's accuracy on the rows counted since the last call, 0..1."""
        if self._rows == 0:
            return {}
        shares = (self._right / self._rows).tolist()
        self._right.zero_()
        self._rows = 0
        return dict(zip(self.names, shares, strict=True))

    def score_state(self) -> dict[str, Any]:
        """Return the score counted so far, for a checkpoint."""
        return {"right": self._right, "rows": self._rows}

    def load_score_state(self, state: Mapping[str, Any]) -> None:
        """Continue counting from `score_state`."""
        self._right.copy_(state["right"])
        self._rows = int(state["rows"])


class NoTeachers(TeacherSource):
    """The source for algorithms that need no teacher."""

    def __init__(self) -> None:
        super().__init__((), Ensemble(Combine.logit_mean, ()), torch.device("cpu"))

    def logits(self, ids: Sequence[str], inputs: InputsOf) -> Tensor:  # noqa: ARG002
        """Fail: there are no teachers."""
        raise RuntimeError("an algorithm that declares no teachers asked for their logits")


class LanguageTeacher(NoTeachers):
    """A teacher not trained on the task: it gives logits over tokens, not over classes."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        learner.module.eval().requires_grad_(False)
        self._learner = learner

    def token_states(self, inputs: Inputs) -> Tensor:
        """Return the last hidden states of the tokens, without a gradient."""
        with torch.no_grad():
            return self._learner.token_states(inputs)

    def token_logits(self, states: Tensor) -> Tensor:
        """Return the language head's logits, without a gradient."""
        with torch.no_grad():
            return self._learner.token_logits(states)


class LiveTeachers(TeacherSource):
    """Teachers that read each batch, because they are trained or the texts change every epoch."""

    def __init__(
        self,
        learners: Sequence[Learner],
        ensemble: Ensemble,
        device: torch.device,
        *,
        trained: Sequence[int] = (),
    ) -> None:
        super().__init__([learner.name for learner in learners], ensemble, device)
        self.learners = tuple(learners)
        self._trained = frozenset(trained)
        for at, learner in enumerate(self.learners):
            # The authors' code never has teacher dropout on; a soft target should not be noisy.
            learner.module.eval()
            learner.module.requires_grad_(at in self._trained)

    def logits(self, ids: Sequence[str], inputs: InputsOf) -> Tensor:  # noqa: ARG002
        """Run every teacher on the rows; only those being trained keep a gradient."""
        graph = torch.is_grad_enabled()
        logits = []
        for at, (learner, batch) in enumerate(zip(self.learners, inputs(), strict=True)):
            with torch.set_grad_enabled(graph and at in self._trained):
                logits.append(learner.logits(batch))
        return torch.stack(logits)


class CachedTeachers(TeacherSource):
    """Frozen teachers; their logits on the clean rows were computed once, and are looked up."""

    def __init__(
        self,
        names: Sequence[str],
        cached: Sequence[StoredLogits],
        ensemble: Ensemble,
        device: torch.device,
    ) -> None:
        super().__init__(names, ensemble, device)
        self._cached = tuple(cached)
        self._device = device

    def logits(self, ids: Sequence[str], inputs: InputsOf) -> Tensor:  # noqa: ARG002
        """Look up the stored logits of the rows."""
        stacked = np.stack([stored.of(ids) for stored in self._cached])
        return torch.from_numpy(stacked).to(self._device)

    def knows(self, ids: Sequence[str]) -> np.ndarray:
        """Return whether the logits of every teacher are stored for each of these rows."""
        known: np.ndarray = np.all([stored.has(ids) for stored in self._cached], axis=0)
        return known
