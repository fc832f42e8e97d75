"""Loads a run's student, and predicts with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from distill_runner.errors import Refused
from distill_runner.evaluation.predict import predict
from distill_runner.evaluation.text_counts import TextCounts
from distill_runner.models import loading
from distill_runner.models.learner import Learner
from distill_runner.pipeline.predictions import mean_of_models
from distill_runner.pipeline.stage_records import read_record
from distill_runner.results.calibration import STUDENT, name_teacher
from distill_runner.results.schema import RunResult
from distill_runner.serving.finished_run import RunFolder, read_run
from distill_runner.serving.texts import Text, TextView, checked_texts
from distill_runner.storage.store import Store
from distill_runner.tasks.base import Prediction, Task
from distill_runner.tasks.kinds import find_task


@dataclass(frozen=True)
class Reading:
    """Some texts as a predictor has read them.

    Args:
        logits: [texts, classes]; for regression, scores [texts, 1].
        counts: of the texts, by the tokenizer of the first model.
        answered_by: who answered each text, in a cascade; None: the predictor itself.
    """

    logits: np.ndarray
    counts: TextCounts
    answered_by: tuple[str, ...] | None = None


class Predictor:
    """A model, or several that predict together, with outputs in the data set's classes.

    Args:
        learners: the models that predict together.
        task: the data set's task.
        classes: the data set's classes, in order; one name for scores.
        pairs: whether the models read pairs of texts.
        device: the device that they run on.
        bf16: whether they compute in bfloat16.
        temperatures: what divides the logits of calibrated probabilities; one, or one for each
            class.
    """

    threshold: float | None = None  # in a cascade: below it the teachers answer

    def __init__(
        self,
        learners: Sequence[Learner],
        *,
        task: Task,
        classes: tuple[str, ...],
        pairs: bool,
        device: torch.device,
        bf16: bool,
        temperatures: tuple[float, ...] = (1.0,),
    ) -> None:
        self.task = task
        self.classes = classes
        self.temperatures = temperatures
        self.pairs = pairs
        self.device = device
        self._learners = tuple(learners)
        self._bf16 = bf16

    def predict(self, texts: Iterable[Text]) -> list[Prediction]:
        """Return the class of each text: a list of labels if multi-label, a score if regression.

        Args:
            texts: texts, or pairs `(text, text)` if the student was trained on pairs.

        Raises:
            Refused: an item is not a text, or not a pair if pairs are expected.
        """
        return self.task.predict(self.logits(texts), self.classes)

    def predict_proba(self, texts: Iterable[Text], *, calibrated: bool = True) -> np.ndarray:
        """Return the probability of each class. [texts, classes].

        A row sums to 1, except in multi-label classification: there each label has its own.

        Args:
            texts: as for `predict`; the columns are in the order of `classes`.
            calibrated: divide the logits by `temperatures`, which validation rows chose; the
                predictions are the same either way.

        Raises:
            Refused: as for `predict`, and for regression: scores have no probabilities.
        """
        if self.task.rules.no_probabilities is not None:
            raise Refused(
                "A score has no probabilities.",
                key="dataset.task",
                value=self.task.rules.kind.value,
                rule="predict_proba is for classes",
                way_out="predict(texts) gives the scores",
            )
        return self.probabilities(self.logits(texts), calibrated=calibrated)

    def probabilities(self, logits: np.ndarray, *, calibrated: bool = True) -> np.ndarray:
        """Return the probabilities that logits stand for. [rows, classes], float64.

        Args:
            logits: [rows, classes], as `logits` returns them.
            calibrated: as for `predict_proba`.
        """
        found = torch.from_numpy(logits).double()
        if calibrated:
            found = found / torch.tensor(self.temperatures, dtype=torch.float64)
        return np.asarray(self.task.probabilities(found).numpy())

    def logits(self, texts: Iterable[Text]) -> np.ndarray:
        """Return the logits behind `predict`, [texts, classes]; for regression, scores [texts, 1].

        Raises:
            Refused: as for `predict`.
        """
        return self.read(checked_texts(texts, pairs=self.pairs)).logits

    def read(self, texts: Sequence[Text]) -> Reading:
        """Return the logits of texts that `checked_texts` has passed, and their counts."""
        if not texts:
            return Reading(np.zeros((0, len(self.classes)), dtype=np.float32), TextCounts())
        # Models that predict together usually share a tokenizer.
        views = {one.encoder.key: one.encoder for one in self._learners}
        encoded = {key: TextView.encoded(texts, encoder) for key, encoder in views.items()}
        each = [
            predict(one, encoded[one.encoder.key], device=self.device, bf16=self._bf16)
            for one in self._learners
        ]
        counts = encoded[self._learners[0].encoder.key].counts
        return Reading(mean_of_models(self.task, each), counts)


class Student(Predictor):
    """The student of a finished run.

    Attributes:
        result: the contents of `result.json`.
        classes: the data set's classes, in the order of `predict_proba`; one name for scores.
        pairs: whether the student reads pairs of texts.
        temperatures: what `predict_proba` divides the logits by; 1 if none was fitted.
    """

    def __init__(self, run: RunFolder, device: torch.device) -> None:
        self.result: RunResult = run.result
        self._run = run
        super().__init__(
            [
                self._learner(folder, name=name, device=device)
                for name, folder in zip(run.student_names, run.student_folders, strict=True)
            ],
            task=find_task(run.result.data.task),
            classes=run.result.data.classes,
            pairs=len(run.result.data.texts) == 2,
            device=device,
            bf16=run.result.training.precision == "bfloat16"
            and run.result.training.device == device.type,
            temperatures=temperatures_of(run.result, STUDENT),
        )

    @cached_property
    def teachers(self) -> Mapping[str, Predictor]:
        """The run's teachers that are models, by name, from the store; a file of answers is none.

        Raises:
            Refused: the store is elsewhere, or no longer holds one of them.
        """
        models = [teacher for teacher in self.result.teachers if teacher.answers is None]
        return {teacher.name: self.teacher(teacher.name) for teacher in models}

    def teacher(self, name: str) -> Predictor:
        """Return one of the run's teachers, from the store.

        Raises:
            Refused: the run has no such teacher, it is a file of answers, the store is elsewhere,
                or no longer holds it.
        """
        models = [teacher.name for teacher in self.result.teachers if teacher.answers is None]
        if name not in models:
            is_file = any(teacher.name == name for teacher in self.result.teachers)
            raise Refused(
                f"The teacher {name} is a file of answers, and no model."
                if is_file
                else f"The run has no teacher {name}.",
                key="teacher",
                value=name,
                rule=f"one of {', '.join(models)}" if models else "a run with models as teachers",
            )
        store = Store(self._run.store)
        key = self.result.stages[f"teacher/{name}"].key
        if not store.has(key, hashed=True):
            raise Refused(
                f"The store no longer holds the teacher {name}.",
                key="store",
                value=str(self._run.store),
                rule=f"the run's store, with the artifact {key}",
                way_out="load(run_folder, store=FOLDER), or run the same command again, which "
                "trains what is missing",
            )
        artifact = store.artifact(key)
        labels = read_record(artifact).labels
        learner = self._learner(artifact.model, name=name, device=self.device, labels=labels)
        return Predictor(
            [learner],
            task=self.task,
            classes=self.classes,
            pairs=self.pairs,
            device=self.device,
            bf16=self._bf16,
            temperatures=temperatures_of(self.result, name_teacher(name)),
        )

    def _learner(
        self,
        folder: Path,
        *,
        name: str,
        device: torch.device,
        labels: Sequence[str] | None = None,
    ) -> Learner:
        data = self.result.data
        learner = loading.load_trained(
            folder,
            name=name,
            task=find_task(data.task),
            classes=data.classes,
            max_tokens=data.max_tokens,
            key="run_folder",
            labels=labels,
        )
        learner.module.to(device).eval()
        if self._run.first_token_only:
            learner.read_first_token_only()
        if self._run.leave_padding_out and device.type == "cpu":
            learner.leave_padding_out()
        return learner


def temperatures_of(result: RunResult, model: str) -> tuple[float, ...]:
    """Return a model's temperatures; 1 for scores, which have none.

    Args:
        result: of the finished run.
        model: its name in `result.calibration.models`.
    """
    return (1.0,) if result.calibration is None else result.calibration.models[model].values


def load(
    run_folder: str | Path, *, device: str = "auto", store: str | Path | None = None
) -> Student:
    """Load the student of a finished run.

    Args:
        run_folder: the run folder; it may have been moved.
        device: `auto` (a GPU if there is one), `cpu` or `cuda`.
        store: the store's folder, for `Student.teachers`; None: `store.dir` of the run.

    Raises:
        Refused: the folder is not a run folder; its run is unfinished, damaged, or of another
            version; or the device is not available.
    """
    run = read_run(Path(run_folder), store=None if store is None else Path(store))
    return Student(run, find_device(device))


def find_device(name: str) -> torch.device:
    """Return the device of that name.

    Args:
        name: `auto` (a GPU if there is one), `cpu` or `cuda`.

    Raises:
        Refused: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise Refused(
            f"There is no device {name!r} here.",
            key="device",
            value=name,
            rule="auto, cpu or cuda; cuda needs a CUDA device and a torch built for it",
            way_out='load(run_folder, device="auto")',
        )
    return torch.device(name)
