"""What a run has found: the honest `result.json`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from distill_runner.config.schema import Config, Select
from distill_runner.console.names import data_name, model_name
from distill_runner.data.readers.tables import text_columns
from distill_runner.evaluation import latency, robustness
from distill_runner.evaluation.chance_level import verdict
from distill_runner.evaluation.comparison import Measure, primary_metric
from distill_runner.evaluation.scores import labels_of, ranking_lead, score_rows, scored
from distill_runner.pipeline.outcome import Outcome
from distill_runner.pipeline.predictions import Predictions
from distill_runner.planning.baseline import steps_made
from distill_runner.planning.ranges import RANKING
from distill_runner.planning.stages import POOL, PRETRAIN, TASK, Stage
from distill_runner.results.scores import Score
from distill_runner.results.typed_json import to_json
from distill_runner.runtime.machine import Machine
from distill_runner.runtime.provenance import surroundings
from distill_runner.storage.store import key_of, plain
from distill_runner.tracking import curves

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared

Result = dict[str, Any]  # what result.json holds


class Results:
    """Compares the models of a finished plan."""

    def __init__(
        self,
        config: Config,
        data: Mapping[str, Prepared],
        outcome: Outcome,
        answers: Predictions,
        *,
        machine: Machine,
    ) -> None:
        self._config = config
        self._plan = outcome.plan
        self._data = data[TASK]
        self._all_data = data
        self._outcome = outcome
        self._answers = answers
        self._machine = machine
        self._measure = Measure(primary_metric(config.dataset))
        self._facts = {name: found.facts() for name, found in outcome.artifacts.items()}
        self._known: dict[tuple[int, str], tuple[np.ndarray, Score]] = {}
        self._labels = {split: labels_of(table) for split, table in self._data.splits.items()}

    def result(self, *, overrides: Sequence[str], given: Mapping[str, Any]) -> Result:
        """Everything that `result.json` says.

        Args:
            overrides: what was typed.
            given: the data sets as they were named (`inputs.given_data`).
        """
        return {
            **self._asked(),
            **self._models(),
            **self._measured(),
            **self._made_of(given),
            "overrides": list(overrides),
        }

    def _asked(self) -> Result:
        config, plan = self._config, self._plan
        return {
            "status": "finished",
            "key": key_of([found.key for found in self._outcome.artifacts.values()]),
            "method": plan.method,
            "seed": config.seed,
            "experiment": config.experiment,
            "profile": config.profile,
            "dataset": config.dataset.name,
            "formula": self._facts[plan.deployed]["formula"],
            "headline": self._measure.name,
            "scored_by": [metric.value for metric in config.dataset.metrics],
            "selection": config.training.select.value,
            "max_steps": config.training.max_steps,
            "published": self._published(),
        }

    def _models(self) -> Result:
        """Every model with its scores."""
        plan = self._plan
        metrics = self._metrics(plan.deployed)
        if "validation" not in self._scored and "validation" in self._data.splits:
            logits = self._answers.logits(plan.deployed, "validation")
            metrics["selection_on_validation"] = self._score(logits, "validation")
        return {
            "teachers": [self._teacher(name) for name in plan.teachers],
            "together": self._together(),
            "between": self._between(),
            "trained_teachers": self._trained_teachers(),
            "pretrain": self._pretrain(),
            "student": self._student(),
            "random_models": self._random_models(),
            "metrics": metrics,
            "golden_head": self._golden_head(),
            "baseline": self._baseline(),
        }

    def _measured(self) -> Result:
        return {
            "stopped": self._stopped(),
            "broken_off": self._broken_off(),
            "agreement": self._agreement(),
            "robustness": self._robustness(),
            "latency": self._latency(),
            "training": self._facts[self._plan.deployed]["training"],
            "training_seconds": {
                name: facts["training"]["wall_seconds"] for name, facts in self._facts.items()
            },
            "teachers_on_training_rows": self._teachers_in_the_loop(),
        }

    def _made_of(self, given: Mapping[str, Any]) -> Result:
        """The rows, the stages and the programs behind the figures."""
        return {
            "data": self._cut(),
            "stages": {
                name: {"key": found.key, "trained_now": name in self._outcome.trained}
                for name, found in self._outcome.artifacts.items()
            },
            "versions": self._facts[self._plan.deployed]["versions"],
            "provenance": self._provenance(given),
        }

    def _cut(self) -> dict[str, Any]:
        """How the data were cut, and what came of it."""
        return {
            "name": data_name(self._config.dataset),
            "hub": self._config.dataset.hub if self._config.dataset.path is None else None,
            "subset": self._config.dataset.subset,
            "texts": text_columns(self._config.dataset),
            "max_tokens": self._config.dataset.max_tokens,
            "split": plain(self._config.dataset.split),
            "split_seed": self._config.dataset.split_seed,
            "rows": self._data.counts,
            "left_out": self._data.left_out,
            "fingerprints": self._data.fingerprints,
            "classes": list(self._data.label_names),
        }

    def _provenance(self, given: Mapping[str, Any]) -> dict[str, Any]:
        models = plain(self._outcome.given_models)
        return {**surroundings(), "models": models, "data": given}

    def _published(self) -> dict[str, Any] | None:
        """The figure from elsewhere; none where the experiment is run on other data."""
        known = self._config.published
        same = known is not None and known.dataset == self._config.dataset.name
        return dict(plain(known)) if same else None

    def _stopped(self) -> dict[str, Any] | None:
        """Which repetition validation chose, where it was asked to choose."""
        if not self._plan.stopping:
            return None
        done = {
            name: self._score(self._answers.logits(name, "validation"), "validation")
            for name in self._plan.stopping
        }
        return {"kept": self._plan.deployed, "validation": done}

    def _broken_off(self) -> dict[str, str] | None:
        """Before which repetition a chain ended, and why, where it could not go on."""
        found = [
            {"before": name, "because": why, "kept": self._plan.deployed}
            for name, why in self._outcome.broken_off.items()
        ]
        return found[0] if found else None

    @property
    def _scored(self) -> list[str]:
        """The splits that are results; one that chose an epoch or a generation is none."""
        selected = self._config.training.select is Select.best_validation
        chosen = selected or bool(self._plan.stopping)
        present = [split for split in scored(self._config.dataset) if split in self._data.splits]
        return [split for split in present if not (chosen and split == "validation")]

    def _metrics(self, stage: str) -> dict[str, Any]:
        return {
            split: self._score(self._answers.logits(stage, split), split) for split in self._scored
        }

    def _steps(self, stage: str) -> int:
        """All optimiser steps of the learner that the stage has left."""

        def of_one(one: Stage) -> int:
            return int(self._facts[one.name]["training"]["steps"])

        made = steps_made(self._plan, stage, of_one)
        assert made is not None
        return made

    def _score(self, logits: np.ndarray, split: str) -> dict[str, Any]:
        """From the logits, not from the stage: it may have been scored by other metrics."""
        found = to_json(self._score_of(logits, split))
        return {name: value for name, value in found.items() if value is not None}

    def _score_of(self, logits: np.ndarray, split: str) -> Score:
        # Held on to, so that no other array gets the same id.
        asked = id(logits), split
        if asked not in self._known:
            metrics = self._config.dataset.metrics
            self._known[asked] = logits, score_rows(logits, self._data.splits[split], metrics)
        return self._known[asked][1]

    def _teacher(self, name: str) -> dict[str, Any]:
        facts = self._facts[name]
        return {
            "name": name.removeprefix("teacher/"),
            "model": self._model(name),
            "parameters": facts["parameters"],
            "steps": self._steps(name),
            "seed": self._plan.stage(name).seed,
            "may_have_seen_test_rows": self._may_have_seen_test_rows(name),
            **self._chance(partial(self._answers.logits, name)),
            "metrics": self._metrics(name),
        }

    def _together(self) -> dict[str, Any] | None:
        """Several teachers as one, as `Predictions.join` joins them."""
        if len(self._plan.teachers) < 2:
            return None
        return {
            "combine": self._answers.combine.value,
            "parameters": sum(self._facts[name]["parameters"] for name in self._plan.teachers),
            "metrics": {
                split: self._score(self._answers.joined_teachers(split), split)
                for split in self._scored
            },
            "may_have_seen_test_rows": any(map(self._may_have_seen_test_rows, self._plan.teachers)),
            **self._chance(self._answers.joined_teachers),
        }

    def _between(self) -> list[dict[str, Any]]:
        """The stages that teach on the way from the teachers to the student."""
        return [
            {
                "name": stage.name,
                "model": stage.learner.id,
                "layers": list(stage.learner.layers) if stage.learner.layers else None,
                "parameters": self._facts[stage.name]["parameters"],
                "steps": self._steps(stage.name),
                "chosen_rows": self._facts[stage.name]["training"].get("counts") or None,
                "may_have_seen_test_rows": self._may_have_seen_test_rows(stage.name),
                **self._chance(partial(self._answers.logits, stage.name)),
                "metrics": self._metrics(stage.name),
            }
            for stage in self._between_stages
        ]

    @property
    def _between_stages(self) -> list[Stage]:
        plan = self._plan
        return [
            stage
            for stage in plan.stages
            if stage.name not in plan.teachers
            and stage.data == TASK
            and stage.training.epochs  # peers at their start have nothing to show
            and stage.name != plan.deployed
            and (
                stage.name in plan.stopping
                or any(stage.name in other.teachers for other in plan.stages)
            )
        ]

    def _pretrain(self) -> dict[str, Any] | None:
        """What a stage learnt on other data than the task's, and from whom."""
        data = self._all_data.get(PRETRAIN)
        if data is None:
            return None
        assert self._config.pretrain.dataset is not None
        return {
            "dataset": self._config.pretrain.dataset.name,
            "rows": data.counts,
            "left_out": data.left_out,
            "fingerprints": data.fingerprints,
            "teachers": [
                {
                    "name": name,
                    "model": self._model(name),
                    "parameters": self._facts[name]["parameters"],
                    "seed": self._plan.stage(name).seed,
                    "metrics": self._facts[name]["metrics"],
                }
                for name in self._plan.pretrain_teachers
            ],
        }

    def _golden_head(self) -> dict[str, Any] | None:
        """What a student with soft heads loses where its plain classifier answers alone."""
        stage = self._plan.stage(self._plan.deployed)
        if not self._answers.has_soft_heads(stage.name) or self._plan.members:
            return None
        found: dict[str, Any] = {}
        for split in self._scored:
            alone = self._answers.without_soft_heads(stage.name, split)
            all_heads = self._answers.logits(stage.name, split)
            found[split] = {
                **self._score(alone, split),
                "same_answers": self._measure.alike(alone, all_heads),
            }
        return found

    def _trained_teachers(self) -> list[dict[str, Any]]:
        """Teachers and peers that the student's stage trained too, as that stage left them."""
        stage = self._plan.stage(self._plan.deployed)
        history = self._facts[stage.name]["history"]
        if stage.algorithm.needs.teachers != "trained" or not history:
            return []
        found, last = [], self._as_named(stage, history[-1])
        for name in stage.teachers:
            short, size = name.removeprefix("teacher/"), self._facts[name]["parameters"]
            value = last.get(f"teacher_{self._measure.name}/{short}")
            if value is not None:
                known = {"name": short, "model": self._model(name), "parameters": size}
                known["layers"] = self._plan.stage(name).learner.layers
                found.append({**known, f"validation_{self._measure.name}": value})
        return found

    def _model(self, stage: str) -> str:
        """As it is named here: what is stored may be of another folder of the same content."""
        return self._plan.stage(stage).learner.id

    def _as_named(self, stage: Stage, values: Mapping[str, float]) -> dict[str, float]:
        """A stored point of the stage, its teachers called as they are here."""
        stored = self._facts[stage.name]["stage"]["teachers"]
        return curves.as_named(values, dict(zip(stored, stage.teachers, strict=True)))

    def _student(self) -> dict[str, Any]:
        together = self._plan.members or (self._plan.deployed,)
        parameters = sum(self._facts[name]["parameters"] for name in together)
        model = self._model(self._plan.deployed)
        return {
            "name": model.rstrip("/").rsplit("/", 1)[-1],
            "model": model,
            "origin": self._origin(self._plan.deployed),
            "layers": self._plan.lineage(self._plan.deployed)[-1].learner.layers,
            "parameters": parameters,
            "steps": self._steps(self._plan.deployed),
            "members": list(self._plan.members),
            "may_have_seen_test_rows": self._may_have_seen_test_rows(self._plan.deployed),
            **self._chance(partial(self._answers.logits, self._plan.deployed)),
            "times_smaller": self._times_smaller(parameters),
        }

    def _random_models(self) -> list[str]:
        """Names of the models that nothing had trained before this run."""
        stages = self._plan.stages
        found = {model_name(one.learner.id) for one in stages if self._plan.from_random(one.name)}
        return sorted(found)

    def _times_smaller(self, parameters: int) -> dict[str, float]:
        """Than each teacher."""
        return {
            name.removeprefix("teacher/"): self._facts[name]["parameters"] / parameters
            for name in self._plan.teachers
        }

    def _chance(self, answers: Callable[[str], np.ndarray]) -> dict[str, Any]:
        """Whether a model is no better than chance on test, or on validation without a test."""
        splits = self._data.splits
        split = next((split for split in ("test", "validation") if split in splits), None)
        if split is None:
            return {"no_better_than_chance": None, "chance": None}
        found = answers(split)
        chance = verdict(
            self._score_of(found, split),
            found,
            split,
            splits[split],
            metric=self._config.dataset.metrics[0],
            classes=self._data.label_names,
        )
        return {"no_better_than_chance": chance is not None, "chance": to_json(chance)}

    def _may_have_seen_test_rows(self, stage: str) -> bool:
        """Nobody here knows what a classifier from elsewhere was trained on."""
        return self._outcome.origins[stage].from_classifier

    def _origin(self, stage: str) -> dict[str, str]:
        """`base_model` and `license`, each where it is known."""
        origin = self._outcome.origins[stage]
        known = {"base_model": origin.base_model, "license": origin.license}
        return {name: value for name, value in known.items() if value is not None}

    def _baseline(self) -> dict[str, Any] | None:
        name = self._plan.baseline
        if name is None:
            return None
        gain = {}
        metrics = self._metrics(name)
        # What chose its epoch is no result of the baseline's.
        chosen = self._plan.stage(name).training.select is Select.best_validation
        if chosen and "validation" in metrics:
            metrics["selection_on_validation"] = metrics.pop("validation")
        for split in self._scored:
            if split not in metrics:
                continue
            ours, theirs = (
                self._answers.logits(self._plan.deployed, split),
                self._answers.logits(name, split),
            )
            interval = self._measure.lead(ours, theirs, self._labels[split])
            gain[split] = {
                self._measure.name: self._worth(ours, split) - self._worth(theirs, split),
                "low": interval.low,
                "high": interval.high,
                "transferred": self._transferred(split, ours, theirs),
                "ranking": {
                    metric.value: to_json(
                        ranking_lead(ours, theirs, self._data.splits[split], metric)
                    )
                    for metric in self._config.dataset.metrics
                    if metric in RANKING
                },
            }
        return {
            "method": "finetune",
            "parameters": self._facts[name]["parameters"],
            "times_smaller": self._times_smaller(self._facts[name]["parameters"]),
            "may_have_seen_test_rows": self._may_have_seen_test_rows(name),
            **self._chance(partial(self._answers.logits, name)),
            "metrics": metrics,
            "training": self._facts[name]["training"],
            "steps": self._steps(name),
            "fewer_steps": self._steps(name) < self._steps(self._plan.deployed),
            "selection": self._plan.stage(name).training.select.value,
            "gain": gain,
            "gain_interval": "95%, paired over test rows; one seed",
        }

    def _transferred(self, split: str, ours: np.ndarray, baseline: np.ndarray) -> float | None:
        """The student's gain as a share of the teachers', joined; None where theirs is not clear.

        Args:
            ours, baseline: [rows, classes], logits.
        """
        if not self._plan.teachers:
            return None
        joined = self._answers.joined_teachers(split)
        if self._measure.lead(joined, baseline, self._labels[split]).low <= 0:
            return None
        before = self._worth(baseline, split)
        return (self._worth(ours, split) - before) / (self._worth(joined, split) - before)

    def _worth(self, answers: np.ndarray, split: str) -> float:
        return self._measure.worth(answers, self._labels[split])

    def _agreement(self) -> dict[str, dict[str, float]]:
        """How far student and joined teachers answer alike (`Measure.alike`), by split.

        The teachers are as they came into the stage; MetaDistil moves its copies.
        """
        if not self._plan.teachers:
            return {}
        found = {}
        for split in self._scored:
            ours, theirs = (
                self._answers.logits(self._plan.deployed, split),
                self._answers.joined_teachers(split),
            )
            found[split] = {
                "with_teachers": self._measure.alike(ours, theirs),
                f"teachers_{self._measure.name}": self._worth(theirs, split),
            }
        return found

    def _robustness(self) -> dict[str, Any] | None:
        """Accuracy on the test rows under noise, of every model that the result has."""
        strengths, plan = self._config.evaluation.robustness, self._plan
        if strengths is None:
            return None
        noises = robustness.noises(strengths, word=self._config.noise.word)
        logits = {
            f"teacher {name.removeprefix('teacher/')}": self._answers.under_noise(name, noises)
            for name in plan.teachers
        }
        against = next(iter(logits), None)
        if len(logits) > 1:
            each, against = list(logits.values()), "teachers together"
            logits[against] = [self._answers.join(one) for one in zip(*each, strict=True)]
        for stage in self._between_stages:
            logits[stage.name] = self._answers.under_noise(stage.name, noises)
        if plan.baseline is not None:
            logits["no teacher"] = self._answers.under_noise(plan.baseline, noises)
        logits[robustness.STUDENT] = self._answers.under_noise(plan.deployed, noises)
        labels = self._labels["test"]
        return {
            "rows": len(labels),
            "noise_seed": self._config.dataset.split_seed,
            "models": list(logits),
            "against": against,
            "scores": to_json(robustness.compared(logits, labels, noises=noises, against=against)),
        }

    def _latency(self) -> dict[str, Any] | None:
        """How fast each teacher and the student answer, and what the student saves and keeps."""
        if not self._config.evaluation.latency:
            return None
        import torch

        plan = self._plan
        names = {f"teacher {name.removeprefix('teacher/')}": name for name in plan.teachers}
        names[latency.STUDENT] = plan.deployed
        found = latency.measured(
            {title: self._answers.learners(name) for title, name in names.items()},
            len(self._labels["test"]),
            self._machine,
        )
        sizes = {title: self._facts[name]["parameters"] for title, name in names.items()}
        together = plan.members or (plan.deployed,)
        sizes[latency.STUDENT] = sum(self._facts[name]["parameters"] for name in together)
        models = {title: {"parameters": sizes[title], **to_json(found[title])} for title in names}
        first = next(iter(names))
        return {
            "device": self._machine.name,
            "threads": torch.get_num_threads(),
            "models": models,
            "against": self._beside(first, models) if plan.teachers else None,
        }

    def _beside(self, title: str, models: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        theirs, ours = models[title], models[latency.STUDENT]
        stage, deployed = self._plan.teachers[0], self._plan.deployed
        worth = [
            self._worth(self._answers.logits(name, "test"), "test") for name in (deployed, stage)
        ]
        return {
            "name": title,
            "fewer_parameters": 1 - ours["parameters"] / theirs["parameters"],
            "less_time": 1 - ours["milliseconds"] / theirs["milliseconds"],
            "times_as_fast": theirs["milliseconds"] / ours["milliseconds"],
            "kept": worth[0] / worth[1] if worth[1] > 0 else None,
        }

    def _teachers_in_the_loop(self) -> dict[str, dict[str, float]]:
        """Each teacher's accuracy on the training rows: as the loop saw it, and alone."""
        stage = self._plan.stage(self._plan.deployed)
        history = self._facts[stage.name]["history"]
        first = self._as_named(stage, history[0]) if history else {}
        found = {}
        for name in self._plan.teachers:
            short = name.removeprefix("teacher/")
            seen = first.get(f"teacher_on_training_rows/{short}")
            if seen is not None:
                found[short] = {"in_the_loop_first_epoch": seen, **self._alone(name)}
        return found

    def _alone(self, name: str) -> dict[str, float]:
        rows = [row for row in self._plan.stage(self._plan.deployed).rows if row != POOL]
        if not whole_epoch(self._outcome, self._data):
            return {}
        right = [
            self._answers.logits(name, split).argmax(axis=-1) == self._labels[split]
            for split in rows
        ]
        return {"alone": float(np.concatenate(right).mean())}


def whole_epoch(outcome: Outcome, data: Prepared) -> bool:
    """Whether the deployed stage saw every training row; a smoke run does not."""
    stage = outcome.plan.stage(outcome.plan.deployed)
    training = outcome.artifacts[stage.name].facts()["training"]
    rows = sum(data.counts[split] for split in stage.rows)
    return bool(training["steps"] * stage.training.batch_size >= rows)
