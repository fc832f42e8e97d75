"""Who takes part in a stage: the learner at its start, and its teachers as signals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_runner.config.schema import Config, Noise, NoiseSeenBy, Start, WeighBy
from distill_runner.data.encoding import View
from distill_runner.data.masking import check_maskable
from distill_runner.errors import Refused
from distill_runner.evaluation.predict import predict
from distill_runner.hub.locate import (
    hub_revision,
    is_classifier,
    locate_model,
    model_fingerprint,
    read_config,
    weight_files,
)
from distill_runner.hub.model_card import origin_of
from distill_runner.models import heads, language, loading, untrusted
from distill_runner.models import stored_logits as kept
from distill_runner.models.architecture import families
from distill_runner.models.architecture.layers import check_layers, layers_of
from distill_runner.models.depth import check_family
from distill_runner.models.fast.dropout import draw_cheaply
from distill_runner.models.learner import Learner
from distill_runner.models.stand_ins import build
from distill_runner.models.teachers import (
    CachedTeachers,
    LanguageTeacher,
    LiveTeachers,
    NoTeachers,
    TeacherSource,
)
from distill_runner.objectives.ensemble import Ensemble, weights_by_accuracy
from distill_runner.pipeline.task_data import Reading
from distill_runner.planning.stages import TASK, ModelSpec, Plan, Stage, steps_of
from distill_runner.runtime.machine import Machine
from distill_runner.storage.integrity import Say, provide
from distill_runner.storage.store import Artifact, Store, key_of, plain
from distill_runner.tasks.base import Task

_STAND_INS = 3  # how they are made and stored; raise it when that changes


class Casting:
    """Finds, builds and loads the learners of a plan.

    Args:
        readings: of the data sets that the plan's stages name.
        artifacts: of the stages done so far, by name; the run adds to it.
        whole: the same of a stage, every file of it compared; made again where one is damaged.
        say: told what else is damaged in the store.
    """

    def __init__(
        self,
        config: Config,
        plan: Plan,
        readings: Mapping[str, Reading],
        *,
        store: Store,
        machine: Machine,
        artifacts: Mapping[str, Artifact],
        whole: Callable[[str], Artifact],
        say: Say,
    ) -> None:
        self._config = config
        self._plan = plan
        self._readings = readings
        self._store = store
        self._machine = machine
        self._artifacts = artifacts
        self._whole = whole
        self._say = say
        self._folders: dict[str, Path] = {}
        self._shapes: dict[Path, Any] = {}
        self._checked: set[tuple[Path, bool]] = set()
        self._unknown: dict[tuple[str, str, tuple[str, ...]], float] = {}

    @property
    def task(self) -> Task:
        """The task's own, not pretraining's."""
        return self._readings[TASK].task

    def learner(self, stage: Stage) -> Learner:
        """The learner as the stage finds it, on the device."""
        spec, folder = stage.learner, self._folder_of(stage)
        common = {**self._common(stage), "key": spec.asked}
        if stage.start is not None and stage.fresh_head:
            body = self._whole(stage.start).model
            learner = loading.new_classifier(
                body, seed=stage.seed, random=False, layers=None, **common
            )
        elif stage.start is not None:
            learner = loading.load_trained(
                self._whole(stage.start).model, soft_heads=False, **common
            )
        elif spec.taken:
            learner = loading.load_trained(folder, labels=spec.labels, **common)
        else:
            origin = self._origin(stage)
            learner = loading.new_classifier(
                folder,
                seed=stage.seed,
                random=spec.start is Start.random,
                layers=spec.layers,
                teacher=origin,
                **common,
            )
        count = stage.algorithm.soft_heads(len(stage.teachers))
        if count:
            heads.add(
                learner.module,
                heads=count,
                classes=len(common["classes"]),
                seed=stage.seed,
                golden=stage.algorithm.reads_labels,
            )
        if stage.algorithm.needs.language:
            language.attach(learner.module, self._language_head(stage, learner))
        learner.skip_layers(stage.algorithm.skips_layers())
        return self._ready(learner)

    def _origin(self, stage: Stage) -> Any:
        """The folder or the classifier that the learner's layers are copied from, if any."""
        if stage.layers_before:
            return self.learner(self._plan.stage(stage.layers_before)).module.cpu()
        return self._whole(stage.layers_from).model if stage.layers_from else None

    def trained(self, name: str, *, soft_heads: bool = True) -> Learner:
        """The learner that the finished stage `name` left, on the device."""
        stage = self._plan.stage(name)
        learner = loading.load_trained(
            self._whole(name).model,
            key="store.dir",
            labels=stage.learner.labels,
            soft_heads=soft_heads,
            **self._common(stage),
        )
        return self._ready(learner)

    def _common(self, stage: Stage) -> dict[str, Any]:
        reading = self._readings[stage.data]
        return {
            "name": stage.name.removeprefix("teacher/"),
            "task": reading.task,
            "classes": reading.data.label_names,
            "max_tokens": reading.max_tokens,
        }

    def teachers(self, stage: Stage) -> TeacherSource:
        """The stage's teachers: cached where one pass over the clean rows serves it."""
        if stage.algorithm.needs.language:
            return self._language_teacher(stage)
        if not stage.teachers:
            return NoTeachers()
        ensemble, device = self.ensemble(stage), self._machine.device
        if self._cacheable(stage):
            names = [name.removeprefix("teacher/") for name in stage.teachers]
            cached = [
                kept.merge([self.signals(name, split) for split in stage.rows])
                for name in stage.teachers
            ]
            return CachedTeachers(names, cached, ensemble, device)
        learners = [self.trained(name) for name in stage.teachers]
        trained = stage.algorithm.trained_teachers(len(learners))
        return LiveTeachers(learners, ensemble, device, trained=trained)

    def _language_teacher(self, stage: Stage) -> LanguageTeacher:
        """The first teacher as it was before its fine-tuning, with its language head if any."""
        assert stage.body is not None
        learner = self.learner(self._plan.stage(stage.body))
        head = self._teachers_head(stage)
        if head is not None:
            language.attach(learner.module, head)
        return LanguageTeacher(learner)

    def _teachers_head(self, stage: Stage) -> language.LanguageHead | None:
        """The language head of the stage's teacher; None where its checkpoint has none."""
        assert stage.body is not None
        teacher = self._plan.stage(stage.body)
        return language.load_head(
            self._folder_of(teacher),
            seed=teacher.seed,
            random=teacher.learner.start is Start.random,
            key=teacher.learner.asked,
        )

    def _language_head(self, stage: Stage, learner: Learner) -> language.LanguageHead:
        """The teacher's own where it fits the learner, as the layers do; else a fresh one."""
        head = self._teachers_head(stage)
        if head is None or not language.fits(head, learner.module):
            folder, key = self._folder_of(stage), stage.learner.asked
            head = language.load_head(folder, seed=stage.seed, random=True, key=key)
        assert head is not None
        return head

    def ensemble(self, stage: Stage) -> Ensemble:
        """How the signals of the stage's teachers, which are done, are joined."""
        weights = stage.weights
        if stage.weigh_by is WeighBy.validation:
            found = [self._artifacts[name].facts()["metrics"] for name in stage.teachers]
            weights = weights_by_accuracy(
                [metrics["validation"]["accuracy"] for metrics in found],
                rows=found[0]["validation"]["n"],
                classes=len(self._readings[stage.data].data.label_names),
            )
        task = self._readings[stage.data].task
        return task.ensemble(stage.combine, weights, stage.temperatures or None)

    def _cacheable(self, stage: Stage) -> bool:
        if stage.algorithm.needs.teachers != "frozen":
            return False
        if stage.noise is not None and stage.noise.seen_by is NoiseSeenBy.both:
            return False
        if stage.algorithm.needs.pool:
            return True  # every row is read for the choice
        rows = sum(self._readings[stage.data].data.counts[split] for split in stage.rows)
        # A stage cut short would pay for rows that it never visits.
        return steps_of(stage.training, rows) * stage.training.batch_size >= rows

    def signals(self, name: str, split: str) -> kept.Signals:
        """The finished stage's logits on a split, from the store or computed now."""
        stage = self._plan.stage(name)
        found = kept.load(self._signals_folder(self._artifacts[name], stage, split))
        if found is None:
            logits = self.predict(self.trained(name), stage, split)
            found = self.keep_signals(self._artifacts[name], stage, split, logits)
        return found

    def keep_signals(
        self, artifact: Artifact, stage: Stage, split: str, logits: np.ndarray
    ) -> kept.Signals:
        """Store the logits of a finished stage's learner on a split of the stage's data."""
        folder = self._signals_folder(artifact, stage, split)
        return kept.save(folder, self._readings[stage.data].ids(split), logits, say=self._say)

    def golden_signals(self, name: str, split: str) -> kept.Signals:
        """The finished stage's logits without its soft heads, from the store or computed now."""
        stage = self._plan.stage(name)
        reading = self._readings[stage.data]
        decided = key_of([reading.data.fingerprints[split], "golden"])
        folder = self._store.signals(self._artifacts[name].key, decided)
        found = kept.load(folder)
        if found is None:
            logits = self.predict(self.trained(name, soft_heads=False), stage, split)
            found = kept.save(folder, reading.ids(split), logits, say=self._say)
        return found

    def answering(self, name: str, split: str) -> tuple[Learner, View]:
        """The finished stage's learner and its view of a split."""
        learner = self.trained(name)
        return learner, self._readings[self._plan.stage(name).data].split(split, learner)

    def under_noise(
        self, name: str, split: str, noises: Sequence[Noise], *, computing: Callable[[], None]
    ) -> list[kept.Signals]:
        """The finished stage's logits on a split under each noise, from the store or now.

        The noise is the rows' own, of the seed that cut them: every learner reads the same.

        Args:
            computing: called once where something is not in the store.
        """
        reading, learner = self._readings[self._plan.stage(name).data], None
        found = []
        for noise in noises:
            decided = [reading.data.fingerprints[split], plain(noise), reading.noise_seed]
            folder = self._store.signals(self._artifacts[name].key, key_of(decided))
            stored = kept.load(folder)
            if stored is None:
                if learner is None:
                    computing()
                    learner = self.trained(name)
                view = reading.disturbed(split, learner, noise)
                logits = self._predict(learner, view)
                stored = kept.save(folder, reading.ids(split), logits, say=self._say)
            found.append(stored)
        return found

    def predict(self, learner: Learner, stage: Stage, split: str) -> np.ndarray:
        """[rows, classes] on a whole split of the stage's data, in its order."""
        return self._predict(learner, self._readings[stage.data].split(split, learner))

    def _predict(self, learner: Learner, view: View) -> np.ndarray:
        return predict(learner, view, device=self._machine.device, bf16=self._machine.bf16)

    def _signals_folder(self, artifact: Artifact, stage: Stage, split: str) -> Path:
        data = self._readings[stage.data].data
        return self._store.signals(artifact.key, data.fingerprints[split])

    def model_key(self, stage: Stage) -> dict[str, Any]:
        """What decides the learner's start: the settings and the content of its folder.

        Raises:
            Refused: a model that is missing, or that cannot do what the plan asks of it.
        """
        spec, folder = stage.learner, self._folder_of(stage)
        settings: dict[str, Any] = plain(spec)
        del settings["asked"]
        if spec.built is None:
            del settings["id"]
            settings["content"] = model_fingerprint(folder)
            self._check_architecture(stage, self._shape(spec, folder))
        else:
            reading = self._readings[stage.data]
            # Else the stage's own rows and limit, which its key has, say how it was made.
            if self._made_for != (reading.data.fingerprints["train"], reading.max_tokens):
                settings["made_for"] = self._made_for
        self._check_start(stage)
        if spec.built is None:
            self._check_files(spec, folder)
        if stage.body is not None:
            teacher = self._plan.stage(stage.body)
            settings["body"] = [self.model_key(teacher), teacher.seed]
        if stage.algorithm.needs.language:
            self._check_language(stage)
        return settings

    def _check_language(self, stage: Stage) -> None:
        """Refuse a teacher of language that the learner cannot follow, before any training."""
        assert stage.body is not None
        teacher, key = self._plan.stage(stage.body), stage.learner.asked
        both = [self._folder_of(stage), self._folder_of(teacher)]
        limit = self._readings[stage.data].max_tokens
        ours, theirs = (loading.load_encoder(folder, limit, key=key) for folder in both)
        check_maskable(ours, key=key)
        names = stage.learner.id, teacher.learner.id
        language.check_words(ours, theirs, names=names, key=key)
        widths = {loading.width_of(folder, key=key) for folder in both}
        # Only the weights tell whether there is a head.
        has_head = not self._has_weights(both[1]) or self._teachers_head(stage) is not None
        stage.algorithm.check_language(teacher_head=has_head, same_width=len(widths) == 1)

    def from_classifier(self, stage: Stage) -> bool:
        """Whether the learner's weights come from a classifier that was trained elsewhere."""
        origin = stage.layers_from or stage.layers_before
        if origin is not None:
            return self.from_classifier(self._plan.stage(origin))
        spec = stage.learner
        return spec.taken or (
            spec.built is None
            and spec.start is Start.pretrained
            and is_classifier(self._folder_of(stage))
        )

    def origin(self, stage: Stage) -> dict[str, str]:
        """Whose weights the learner has at its start: `base_model`, `license`, if known."""
        before = stage.start or stage.layers_from or stage.layers_before
        if before is not None:
            return self.origin(self._plan.stage(before))
        spec = stage.learner
        if spec.built is not None or spec.start is not Start.pretrained:
            return {}
        return origin_of(spec.id, self._folder_of(stage))

    def given_models(self) -> dict[str, Any]:
        """By the name that was given, the content of each model that was not built here."""
        given = {}
        for stage in self._plan.stages:
            if stage.learner.built is None:
                folder = self._folder_of(stage)
                content, revision = model_fingerprint(folder), hub_revision(folder)
                given[stage.learner.id] = {"content": content, "revision": revision}
        return given

    def _folder_of(self, stage: Stage) -> Path:
        return self._folder(stage.learner, stage.learner.asked)

    def _shape(self, spec: ModelSpec, folder: Path) -> Any:
        """The model that a folder's config describes, without weights."""
        if folder not in self._shapes:
            self._shapes[folder] = untrusted.check_config(folder, key=spec.asked)
        return self._shapes[folder]

    def _has_weights(self, folder: Path) -> bool:
        """False of a hub's model that a dry run looks at without them."""
        return not (self._config.dry_run and hub_revision(folder) and not weight_files(folder))

    def weights_in_layers(self, stage: Stage) -> int:
        """How many weights every token of a row passes through: those of the layers kept."""
        shape, layers = self._shape(stage.learner, self._folder_of(stage)), stage.learner.layers
        whole: int = sum(
            weight.numel() for name, weight in shape.named_parameters() if "embed" not in name
        )
        depth: int | None = getattr(shape.config, "num_hidden_layers", None)
        return whole * len(layers) // depth if layers and depth else whole

    def _check_files(self, spec: ModelSpec, folder: Path) -> None:
        """Refuse files of a model that are no good, once a folder."""
        weights = spec.start is Start.pretrained and self._has_weights(folder)
        if (folder, weights) not in self._checked:
            shape = self._shape(spec, folder)
            loading.check_files(folder, shape, weights=weights, key=spec.asked)
            self._checked.add((folder, weights))

    def unknown_share(self, stage: Stage) -> float:
        """Which share of the words that the stage trains on its learner's tokenizer knows not."""
        reading, folder = self._readings[stage.data], self._folder_of(stage)
        encoder = loading.load_encoder(folder, reading.max_tokens, key=stage.learner.asked)
        rows = (encoder.key, stage.data, stage.rows)
        if rows not in self._unknown:
            self._unknown[rows] = reading.unknown_share(stage, encoder)
        return self._unknown[rows]

    def _check_architecture(self, stage: Stage, shape: Any) -> None:
        """Refuse a model that cannot do what the stage asks of its learner."""
        algorithm, key = stage.algorithm, stage.learner.asked
        self._check_length(stage, shape)
        if algorithm.skips_layers():
            check_family(shape.config.model_type)
        if algorithm.soft_heads(len(stage.teachers)):
            families.check_first_state(shape, key=key)
        if algorithm.differentiates_forwards:
            families.check_forward_derivative(shape, key=key)
        if stage.learner.layers is not None:
            layers_of(shape)

    def _check_length(self, stage: Stage, shape: Any) -> None:
        """Refuse texts longer than the model has positions for, before a long one comes by."""
        positions, limit = families.positions(shape.config), self._readings[stage.data].max_tokens
        if positions is not None and limit > positions:
            key = f"{'' if stage.data == TASK else f'{stage.data}.'}dataset.max_tokens"
            raise Refused(
                f"{stage.learner.id} cannot read texts of so many tokens.",
                key=key,
                value=limit,
                rule=f"at most its {positions} positions",
                way_out=f"{key}={positions}",
            )

    def _check_start(self, stage: Stage) -> None:
        """Refuse labels that are not known and layers that do not fit, before any training."""
        spec, folder = stage.learner, self._folder_of(stage)
        if spec.taken:
            loading.check_labels(
                folder,
                name=stage.name.removeprefix("teacher/"),
                task=self._readings[stage.data].task,
                classes=self._readings[stage.data].data.label_names,
                key=spec.asked,
                labels=spec.labels,
            )
        elif (origin := stage.layers_from or stage.layers_before) is not None:
            self._check_layers(stage, self._plan.stage(origin))
        elif spec.layers is not None:
            config = read_config(folder)
            depth = config.get("num_hidden_layers", config.get("n_layers"))
            if isinstance(depth, int):
                check_layers(spec.layers, depth)

    def _check_layers(self, stage: Stage, teacher: Stage) -> None:
        """Refuse a student that no layers of the teacher fit."""
        spec = stage.learner
        try:
            loading.check_start(
                self._folder_of(stage),
                teacher=self._folder_of(teacher),
                layers=spec.layers,
                key=spec.asked,
            )
        except Refused as refusal:
            if refusal.key != "student.start" or self._config.student.start is spec.start:
                raise
            # The method says where its student starts; what was chosen are the models.
            raise Refused(
                f"{spec.id} cannot start from the layers of {teacher.learner.id}: {refusal.what}",
                key=spec.asked,
                value=spec.id,
                rule="a student of its teacher's family, width and vocabulary",
                way_out="another student or another teacher: student=distilbert goes with "
                "teacher=bert",
            ) from refusal

    def _folder(self, spec: ModelSpec, key: str) -> Path:
        """The local folder of a model: found, fetched, or built here."""
        # A stand-in's shape may depend on where it starts.
        name = f"{spec.id} {spec.built}"
        if name not in self._folders:
            directory = self._config.paths.models
            self._folders[name] = (
                locate_model(
                    spec.id,
                    models_dir=Path(directory) if directory else None,
                    key=key,
                    weights=not self._config.dry_run,
                )
                if spec.built is None
                else self._build(spec)
            )
        return self._folders[name]

    def _build(self, spec: ModelSpec) -> Path:
        assert spec.built is not None
        fingerprint, limit = self._made_for
        key = key_of([_STAND_INS, plain(spec.built), fingerprint, limit])
        folder = self._store.folder / "built" / key
        texts = self._readings[TASK].data.splits["train"]["text"]
        built = spec.built
        provide(folder, lambda made: build(built, texts, made, max_tokens=limit), say=self._say)
        return folder

    @property
    def _made_for(self) -> tuple[str, int]:
        """The rows whose words a stand-in knows, and the tokens that it can read.

        One tokenizer for all the data sets of a run, which a body may pass through in turn.
        """
        limit = max(reading.max_tokens for reading in self._readings.values())
        return self._readings[TASK].data.fingerprints["train"], limit

    def _ready(self, learner: Learner) -> Learner:
        learner.module.to(self._machine.device)
        runtime = self._config.runtime
        plain_cpu = self._machine.device.type == "cpu" and not runtime.compile
        if runtime.cheap_dropout and plain_cpu:
            draw_cheaply(learner.module)
        if runtime.first_token_only:
            learner.read_first_token_only()
        if runtime.leave_padding_out and plain_cpu:
            learner.leave_padding_out()
        if runtime.compile:
            learner.compile()
        return learner
