"""Measures prediction: rows per second over a split, and the latency of a single text."""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch

from benchmarks import figures
from benchmarks.children import task
from benchmarks.options import OURS, Options
from benchmarks.peers.peer import classifier
from benchmarks.peers.texts import Texts
from benchmarks.record import Report, times
from benchmarks.sampling import Batch, chunk_of, offsets_of
from benchmarks.setting import Setting, open_setting
from distill_runner.data.encoding import Encoding, Inputs
from distill_runner.evaluation.predict import predict
from distill_runner.models import loading
from distill_runner.pipeline.task_data import TaskData
from distill_runner.tasks.classification import Classification

_BATCH = 64  # rows per batch for all contenders, as in `evaluation.predict`
_LATENCY_TEXTS = 20  # per round
_MODELS = ("teacher", "student")
_STYLES = ("padded", "dynamic", OURS)


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Measure teacher and student in every requested precision."""
    raw = {}
    for precision in options.precision:
        say(f"predicting in {precision}")
        raw[precision] = task("measure", replace(options, precision=(precision,)))
    rows = []
    for precision, found in raw.items():
        for model in _MODELS:
            for style in _STYLES:
                rows.append([precision, model, style, *_cells(found, model, style)])
    return Report(
        title="Prediction of a whole split, and of one text",
        columns=("precision", "model", "padding", "rows/s", "ours faster by", "p50 ms", "p95 ms"),
        rows=rows,
        notes=(
            f"padded: every row to {options.max_tokens} tokens; dynamic: batches in random order, "
            "each padded to its longest row; ours: sorted by length. The rates exclude tokenising; "
            "the latencies include it.",
        ),
        found={"raw": raw},
    )


def _cells(found: dict[str, Any], model: str, style: str) -> list[str]:
    # Seconds per row; only the rounds together represent all rows.
    mean = fmean(turn[f"{model}/{style}"] for turn in found["rounds"])
    ours = fmean(turn[f"{model}/{OURS}"] for turn in found["rounds"])
    latencies = found["latency_ms"][f"{model}/{style}"]
    return [
        f"{1 / mean:,.0f}",
        times(mean / ours) if style != OURS else "1",
        *(f"{figures.quantile(latencies, share):.1f}" for share in (0.5, 0.95)),
    ]


def measure(options: Options, folder: Path) -> dict[str, Any]:  # noqa: ARG001
    """Time every model in every style, in shuffled order: seconds per row, and latencies in ms."""
    setting = open_setting(options, "kd")
    predictors: dict[str, _Predictor] = {}
    for model in _MODELS:
        for style in _STYLES:
            predictors[f"{model}/{style}"] = (
                _Ours(setting, model)
                if style == OURS
                else _Theirs(setting, model, padded=style == "padded")
            )
    shuffle = random.Random(options.seed)
    warm_and_timed = {
        name: predictor.chunks(options.rounds, options.steps)
        for name, predictor in predictors.items()
    }
    rounds: list[dict[str, float]] = []
    latency: dict[str, list[float]] = {name: [] for name in predictors}
    texts = list(setting.data.splits["train"]["text"])
    for number in range(options.rounds + 1):
        order = list(predictors)
        shuffle.shuffle(order)
        turns = {}
        for name in order:
            batches = warm_and_timed[name][number]
            began = time.perf_counter()
            predictors[name].predict(batches)
            seconds = time.perf_counter() - began
            turns[name] = seconds / sum(len(batch.rows) for batch in batches)
        drawn = shuffle.sample(texts, min(_LATENCY_TEXTS, len(texts)))
        for name in order:
            times_ms = [predictors[name].latency_ms(text) for text in drawn]
            latency[name] += times_ms if number else []  # the first round is a warm-up
        rounds += [turns] if number else []
    return {"rounds": rounds, "latency_ms": latency}


class _Predictor(ABC):
    """A model and a way to pad its rows."""

    lengths: np.ndarray
    width: int | None = None

    def order(self, epoch: int) -> np.ndarray:
        return np.random.default_rng(epoch).permutation(len(self.lengths))

    @abstractmethod
    def predict(self, batches: list[Batch]) -> None:
        """Compute the logits of these rows."""

    def latency_ms(self, text: str) -> float:
        began = time.perf_counter()
        self.answer(text)
        return 1000 * (time.perf_counter() - began)

    @abstractmethod
    def answer(self, text: str) -> int:
        """Return the class of one text, including its tokenisation."""

    def chunks(self, rounds: int, steps: int) -> list[list[Batch]]:
        """Return the chunks: one that warms up every shape of the others, then the timed ones."""
        timed = []
        for number in range(rounds):
            rows = self.order(number)
            cut = [rows[at : at + _BATCH] for at in range(0, len(rows), _BATCH)]
            offsets = offsets_of(number, rounds=rounds, count=steps)
            timed.append(chunk_of(number, cut, self.lengths, width=self.width, offsets=offsets))
        shapes = {batch.padded: batch for chunk in timed for batch in chunk}
        return [list(shapes.values()), *timed]


class _Ours(_Predictor):
    """Predicts with `evaluation.predict`, as a run does."""

    def __init__(self, setting: Setting, model: str) -> None:
        self._machine = setting.machine
        self._learner = loading.load_trained(
            getattr(setting.models, model),
            name=model,
            task=Classification(),
            classes=setting.data.label_names,
            max_tokens=setting.options.max_tokens,
            key="--model",
        )
        if setting.config.runtime.first_token_only:
            self._learner.read_first_token_only()
        reading = TaskData(setting.data, setting.config.dataset, Path(setting.config.store.dir))
        self._view = reading.split("train", self._learner)
        self.lengths = self._view.lengths

    def order(self, epoch: int) -> np.ndarray:  # noqa: ARG002
        return np.argsort(self.lengths, kind="stable")

    def predict(self, batches: list[Batch]) -> None:
        part = _Part(self._view, np.concatenate([batch.rows for batch in batches]))
        predict(self._learner, part, device=self._machine.device, bf16=self._machine.bf16)

    def answer(self, text: str) -> int:
        encoder = self._learner.encoder
        columns = encoder.tokenize([text])
        inputs = encoder.pad({k: [np.asarray(row) for row in v] for k, v in columns.items()})
        with (
            self._learner.evaluating(),
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=self._machine.bf16),
        ):
            return int(self._learner.logits(inputs).argmax())


class _Theirs(_Predictor):
    """Predicts with transformers, in its usual form."""

    def __init__(self, setting: Setting, model: str, *, padded: bool) -> None:
        self._bf16 = setting.machine.bf16
        self._module = classifier(getattr(setting.models, model)).eval()
        self._texts = Texts(setting, "train", padded=padded)
        self.lengths = self._texts.lengths
        self.width = setting.options.max_tokens if padded else None
        self._limit = setting.options.max_tokens

    def predict(self, batches: list[Batch]) -> None:
        for batch in batches:
            inputs = self._texts.batch(batch.rows.tolist())
            del inputs["labels"]
            self._logits(inputs)

    def answer(self, text: str) -> int:
        inputs = self._texts.tokenizer(
            text,
            truncation=True,
            max_length=self._limit,
            padding="max_length" if self.width else False,
            return_tensors="pt",
        )
        return int(self._logits(dict(inputs)).argmax())

    def _logits(self, inputs: Inputs) -> torch.Tensor:
        with (
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=self._bf16),
        ):
            logits: torch.Tensor = self._module(**inputs).logits
        return logits


class _Part:
    """Some rows of another view."""

    def __init__(self, view: Encoding, rows: np.ndarray) -> None:
        self._view = view
        self._rows = rows

    @property
    def lengths(self) -> np.ndarray:
        lengths: np.ndarray = self._view.lengths[self._rows]
        return lengths

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        return self._view.inputs(self._rows[rows], epoch)
