"""Every key takes effect or is refused, under methods of every kind.

If a configuration key is changed, then some stage has another key in the store, or the change is
refused by name, or `READ_ELSEWHERE` says what the key changes instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from support.answers import write_answers
from support.tiny import shrunk

from distill_runner.command_line.hydra_errors import explain
from distill_runner.config.compose import raw_method, to_dataclasses
from distill_runner.config.schema import Config
from distill_runner.console.screen import Screen
from distill_runner.data.inputs import read_data
from distill_runner.errors import Refused
from distill_runner.methods.construct import make_algorithm
from distill_runner.pipeline.runner import Runner
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import Plan
from distill_runner.planning.unread_settings import check_all_read
from distill_runner.runtime.machine import resolve_machine
from distill_runner.tracking.trackers import NoTracker

Key = tuple[str, ...]

# The first is asked for every key, the others where methods differ.
CONTEXTS: dict[str, tuple[str, ...]] = {
    "metadistil": ("teacher=bert+roberta", "noise=replace_word"),
    "kd": ("teacher=bert",),
    "tmkd": ("teacher=bert+roberta", "teacher@pretrain.teacher=bert"),
    "distilbert": ("teacher=bert",),
    "noisy_student": ("teacher=bert", "noise=mask", "noise.seen_by=student"),
    "mutual": (),
    "finetune": ("dataset=files", "noise=mask"),
    "assistant": ("teacher=file",),
}
EVERYWHERE = "metadistil"
DIFFERING = ("method", "teacher", "student", "noise", "pretrain", "dataset", "tracker")

# Keys that no stage's key has, and what they change in its place.
READ_ELSEWHERE = {
    "teacher.near_chance": "whether a run goes on under a teacher at chance",
    "teacher.missing": "whether a run goes on under a file that lacks answers",
    "pretrain.teacher.near_chance": "whether a run goes on under a teacher at chance",
    "method.stop": "which generation is kept",
    "method.stages.generation.stop": "which generation is kept",
    "method.baseline": "whether there is a baseline; fine-tuning has none",
    "dataset.unlabelled.rest": "which rows join a file's; noisy_student reads them without one",
    "dataset.name": "the title of table, card and tracker's group",
    "dataset.metrics": "the scores that are shown, and the epoch that best_validation keeps",
    "pretrain.dataset.name": "what result.json calls the data",
    "pretrain.dataset.metrics": "the teachers' scores",
    "evaluation.robustness": "a table, and its part of result.json",
    "evaluation.latency": "a table, and its part of result.json",
    "evaluation.threshold": "the student's decisions, and its part of result.json",
    "evaluation.baseline_steps": "the baseline of a learner that makes more steps than it",
    "tracker._target_": "where curves go",
    "tracker.every": "the points of metrics.jsonl",
    "runtime.deterministic": "every stage's key, on a GPU",
    "runtime.threads": "speed alone",
    "runtime.processes": "speed alone",
    "runtime.keep_freed_memory": "speed alone",
    "runtime.checkpoint_seconds": "what a killed run loses",
    "paths.models": "where an id is looked for first",
    "paths.datasets": "where an id is looked for first",
    "store.dir": "where stages are kept",
    "output_dir": "where the run folder is",
    "dry_run": "whether anything is trained",
    "force": "whether the store is asked",
}
GROUPS = ("profile", "experiment")  # options, not keys, are typed of these

# Values where the type says too little.
VALUES: dict[str, Any] = {
    "budget.mb": 30.0,
    "budget.ms": 5.0,
    "dataset.hub": "someone/set",
    "dataset.subset": "part",
    "dataset.no_label": "-",
    "dataset.group": "text",
    "dataset.extra": ["hard"],
    "dataset.label_names": ["no", "yes"],
    "dataset.metrics": ["macro_f1"],
    "dataset.path": "no-such-file.csv",
    "dataset.task": "regression",
    "dataset.text": "body",
    "dataset.unlabelled.hub": "someone/set",
    "dataset.unlabelled.subset": "part",
    "dataset.unlabelled.path": "no-such-file.csv",
    "dataset.unlabelled.text": "body",
    "dataset.unlabelled.rows": 7,
    "dataset.unlabelled.ratio": 0.1,
    "evaluation.robustness": [0.1],
    "frontier.max_tokens": [32],
    "method.quiz_batch": 5,
    "method.derivative": "finite_difference",
    "method.real_step_mask": "fresh",
    "method.soft_loss": "kl_elementwise",
    "method.form": "alternating",
    "method.update_teachers": [0],
    "method.pilot_learning_rate": 0.25,
    "method.pretrain_learning_rate": 0.25,
    "method.student_start": "random",
    "method.peers": [{}, {}],
    "method.baseline": "never",
    "published": {"accuracy": 1.0},
    "student.layers": [0],
    "student.start": "teacher",
    "runtime.device": "cuda",
    "runtime.precision": "bfloat16",
    "paths.models": ".",
    "paths.datasets": ".",
    "teacher.finetune": "never",
    "teacher.models": ["roberta-base", "roberta-base"],
    "teacher.path": "no-such-file.jsonl",
    "teacher.labels": ["no", "yes"],
    "teacher.learning_rates": [0.25, 0.125],
    "teacher.seeds": [7, 8],
    "teacher.temperatures": [2.0, 3.0],
    "teacher.weights": [2.0, 1.0],
    "training.max_steps": 3,
    "tune.epochs": [3],
    "tune.learning_rates": [0.25],
    "tracker._target_": "distill_runner.tracking.trackers.JsonLinesTracker",
    "tracker.group": "mine",
    "tracker.tags": ["mine"],
}
OF_TEACHERS = ("learning_rates", "models", "seeds", "temperatures", "weights")


@cache
def store() -> Path:
    folder = Path(mkdtemp())
    rows = "".join(f"a {'good' if n % 2 else 'bad'} film, {n}\t{n % 2}\n" for n in range(240))
    (folder / "own.tsv").write_text(f"text\tlabel\n{rows}")
    return folder


@cache
def base(method: str) -> DictConfig:
    context = CONTEXTS[method]
    own = [f"dataset.path={store()}/own.tsv"] if "dataset=files" in context else []
    if "teacher=file" in context:
        own.append(f"teacher.path={write_answers(store() / 'answers.jsonl')}")
    return shrunk(store(), f"method={method}", *context, *own)


def changed(config: DictConfig, key: Key, value: Any) -> DictConfig:
    other = config.copy()
    node: Any = other
    for part in key[:-1]:
        node = node[part]
    node[key[-1]] = value
    return other


def planned(config: DictConfig, settings: Config) -> Plan:
    return make_plan(
        settings,
        method="",
        raw_method=raw_method(config),
        make_algorithm=make_algorithm,
        is_classifier=lambda *_: False,
    )


def stage_keys(settings: Config, plan: Plan) -> list[str]:
    settings.store.dir = str(store())
    machine = resolve_machine(settings.runtime)
    data = read_data(settings, plan)
    runner = Runner(settings, plan, data, machine=machine, screen=Screen(), tracker=NoTracker())
    return [runner.key_of(stage) for stage in plan.stages]


@cache
def keys_before(method: str) -> list[str]:
    settings = to_dataclasses(base(method))
    return stage_keys(settings, planned(base(method), settings))


def other_than(key: Key, old: Any, config: DictConfig) -> Any:
    name = ".".join(key)
    short = name.removeprefix("pretrain.")
    if short in VALUES:
        value = VALUES[short]
        if key[-1] in OF_TEACHERS and short.startswith("teacher."):
            node = config.pretrain if name != short else config
            return value[: len(node.teacher.models)] or value
        return value
    if isinstance(old, bool):
        return not old
    if isinstance(old, Enum):
        return next(one for one in type(old) if one is not old)
    if isinstance(old, int):
        return old + 1 if old else 2
    if isinstance(old, float):
        return old / 2 if old else 0.5
    if isinstance(old, list):
        return old[:-1]
    return f"{old}-other"


def leaves(node: Any, at: Key = ()) -> dict[Key, Any]:
    if not isinstance(node, Mapping):
        return {at: node}
    return {
        key: old for name, inner in node.items() for key, old in leaves(inner, (*at, name)).items()
    }


def verdict(method: str, key: Key, old: Any) -> str:
    """`key` where a stage's key changes, `refused: KEY` with whom it blames, else `nothing`."""
    before = base(method)
    try:
        after = changed(before, key, other_than(key, old, before))
        settings = to_dataclasses(after)
        plan = planned(after, settings)
        check_all_read(
            after, settings, lambda: before, [key], plan=plan, make_plan=planned, shared=()
        )
        return "key" if stage_keys(settings, plan) != keys_before(method) else "nothing"
    except Refused as refusal:
        return f"refused: {refusal.key}"
    except OmegaConfBaseException as error:
        return f"refused: {explain(error, []).key}"


def asked(method: str) -> dict[Key, Any]:
    everything = leaves(OmegaConf.to_container(base(method), resolve=True))
    known = {key: old for key, old in everything.items() if key[0] not in GROUPS}
    if method == EVERYWHERE:
        return known
    return {key: old for key, old in known.items() if key[0] in DIFFERING}


@cache
def verdicts(method: str) -> dict[str, str]:
    return {".".join(key): verdict(method, key, old) for key, old in asked(method).items()}


@pytest.mark.parametrize("method", CONTEXTS)
def test_every_key_changes_a_stage_or_is_refused_or_says_what_it_changes(method: str) -> None:
    found = verdicts(method)
    assert {name for name, how in found.items() if how == "nothing"} - set(READ_ELSEWHERE) == set()
    assert "refused: None" not in found.values()


def test_no_exception_stands_without_need() -> None:
    every = [verdicts(method) for method in CONTEXTS]
    needed = {name for found in every for name, how in found.items() if how == "nothing"}
    assert set(READ_ELSEWHERE) == needed
