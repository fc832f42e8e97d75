"""Prepares what all contenders of a race share: configuration, data, models, machine."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from benchmarks.composing import (
    compose_config,
    data_overrides,
    drop_model_overrides,
    model_overrides,
)
from benchmarks.options import Options
from distill_runner.config.compose import raw_method, to_dataclasses
from distill_runner.config.schema import BuiltModel, Config
from distill_runner.data.load import Prepared, prepare
from distill_runner.errors import Refused
from distill_runner.hub.locate import is_classifier, model_fingerprint
from distill_runner.methods.construct import make_algorithm
from distill_runner.models import loading, saving
from distill_runner.models.stand_ins import build
from distill_runner.planning.planner import make_plan
from distill_runner.planning.stages import Plan, Stage
from distill_runner.runtime.machine import Machine, resolve_machine
from distill_runner.storage.store import key_of
from distill_runner.tasks.classification import Classification

# The shape of all-MiniLM-L6 and the size of its vocabulary.
_MINILM = BuiltModel("bert", layers=6, width=384, heads=12, feedforward=1536, dropout=0.1)
_VOCABULARY = 30522


@dataclass(frozen=True)
class Models:
    """Model folders in Hugging Face format."""

    pretrained: Path
    teacher: Path  # a classifier for the data set's classes, with an untrained head
    student: Path  # the start of distill-run's student, for the peers


@dataclass(frozen=True)
class Setting:
    """A planned run of distill-run, and its models as folders."""

    options: Options
    config: Config
    plan: Plan
    data: Prepared
    machine: Machine
    models: Models

    @property
    def stage(self) -> Stage:
        """The raced stage."""
        return self.plan.stage(self.plan.deployed)


def open_setting(options: Options, method: str, *extra: str) -> Setting:
    """Compose, plan and prepare what `distill-run method=METHOD …` would run.

    Args:
        options: the benchmark's options.
        method: the method's name, as in `method=NAME`.
        extra: further overrides; those of --set come after them.

    Raises:
        Refused: the settings contradict each other, or ask for a GPU.
    """
    _quiet()
    given = [*data_overrides(options, extra), *extra, *options.overrides]
    first = to_dataclasses(
        compose_config(["method=finetune", *drop_model_overrides(given)], options)
    )
    machine = resolve_machine(first.runtime)
    if machine.device.type != "cpu":
        raise Refused(
            "The peers run on the CPU only.",
            key="runtime.device",
            value=machine.device.type,
            rule="cpu",
        )
    path = first.dataset.path
    source = Path(path).expanduser() if path else None
    data = prepare(first.dataset, source=source, store_dir=Path(first.store.dir))
    models = _models(options, first, data)
    cast = model_overrides(options, pretrained=models.pretrained, teacher=models.teacher)
    composition = compose_config([f"method={method}", *cast, *given], options)
    config = to_dataclasses(composition)
    plan = make_plan(
        config,
        method=method,
        raw_method=raw_method(composition),
        make_algorithm=make_algorithm,
        is_classifier=lambda model, _: is_classifier(Path(model)),
    )
    return Setting(options, config, plan, data, machine, models)


def _models(options: Options, config: Config, data: Prepared) -> Models:
    """Find or create the folders of teacher and student, with random heads."""
    shared = options.shared / "store" / "bench"
    pretrained = Path(options.model) if options.model else _random_minilm(shared, data)
    common = {
        "content": model_fingerprint(pretrained),
        "classes": data.label_names,
        "seed": config.seed,
    }
    folders = {}
    for name, layers in (("teacher", None), ("student", tuple(range(options.student_layers)))):
        key = key_of([common, None if layers is None else len(layers)])
        folders[name] = shared / f"{name}-{key}"
        if folders[name].exists():
            continue
        learner = loading.new_classifier(
            pretrained,
            name=name,
            task=Classification(),
            classes=data.label_names,
            max_tokens=options.max_tokens,
            seed=config.seed,
            key="--model",
            random=False,
            layers=layers,
        )
        partial = folders[name].with_suffix(".partial")
        saving.save(learner, partial, classes=data.label_names)
        os.replace(partial, folders[name])
    return Models(pretrained, folders["teacher"], folders["student"])


def _random_minilm(shared: Path, data: Prepared) -> Path:
    """Create a model of MiniLM's shape with random weights, and train its tokenizer."""
    from transformers import AutoConfig, AutoModel

    key = key_of([_MINILM, _VOCABULARY, data.fingerprints["train"]])
    folder = shared / f"minilm-{key}"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        build(_MINILM, data.splits["train"]["text"], partial, max_tokens=512)
        config = AutoConfig.from_pretrained(partial, trust_remote_code=False)
        # A step's cost depends on the size of the embedding table, whatever the corpus.
        config.vocab_size = _VOCABULARY
        AutoModel.from_config(config, trust_remote_code=False).save_pretrained(partial)
        os.replace(partial, folder)
    return folder


def _quiet() -> None:
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
