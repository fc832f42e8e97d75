"""Checks before training that each model can do what its stage asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from distill_runner.config.schema import Config, Start
from distill_runner.data.masking import check_maskable
from distill_runner.errors import Refused
from distill_runner.hub.locate import read_config
from distill_runner.models import folder_checks, language, loading
from distill_runner.models.architecture import families
from distill_runner.models.architecture.layers import check_layers, layers_of
from distill_runner.pipeline.model_folders import ModelFolders
from distill_runner.pipeline.task_data import TaskData
from distill_runner.planning.initialisation import TeacherLayers
from distill_runner.planning.stage_context import Context, StageModels
from distill_runner.planning.stages import TASK, Plan, Stage
from distill_runner.storage.integrity import Say

_MANY_UNKNOWN, _TOO_MANY_UNKNOWN = 0.05, 0.5  # shares of the words


class ModelChecks:
    """Checks models by their configs, tokenizers and weight files; trains and keeps nothing.

    Args:
        data: the plan's data sets, by name.
        folders: finds the plan's models.
    """

    def __init__(
        self, config: Config, plan: Plan, data: Mapping[str, TaskData], folders: ModelFolders
    ) -> None:
        self._config = config
        self._plan = plan
        self._data = data
        self._folders = folders
        self._checked: set[tuple[Path, bool]] = set()
        self._unknown: dict[tuple[str, str, tuple[str, ...]], float] = {}

    def check(self, stage: Stage) -> None:
        """Refuse a model that cannot do what the stage asks of its learner.

        Raises:
            Refused: the model is missing, damaged, too small, or of the wrong kind.
        """
        if stage.answers is not None:
            return  # the file was checked when the data were read
        given = stage.learner.built is None
        if given:
            self._check_architecture(stage)
        self._check_start(stage)
        if given:
            self._check_files(stage)
        if stage.backbone_of is not None:
            self.check(self._plan.stage(stage.backbone_of))
        stage.algorithm.check(self._context(stage))

    def check_words(self, stage: Stage, *, say: Say) -> None:
        """Warn if many words of the stage's rows are unknown to the learner's tokenizer.

        Raises:
            Refused: at least half of the words are unknown.
        """
        if stage.answers is not None:
            return
        share, name = self._unknown_share(stage), stage.label
        found = f"{name}: {100 * share:.1f}% of the words it trains on are unknown to its tokenizer"
        if share >= _TOO_MANY_UNKNOWN:
            raise Refused(
                f"{found}.",
                key=stage.learner.config_key,
                value=stage.learner.id,
                rule="a tokenizer that knows the words of the training text",
                way_out="a model of the text's language, with the tokenizer that belongs to it",
            )
        if share >= _MANY_UNKNOWN:
            say(f"  {found}")

    def _unknown_share(self, stage: Stage) -> float:
        data, folder = self._data[stage.data], self._folders.folder_of(stage)
        encoder = loading.load_encoder(folder, data.max_tokens, key=stage.learner.config_key)
        rows = (encoder.key, stage.data, stage.rows)
        if rows not in self._unknown:
            self._unknown[rows] = data.unknown_share(stage, encoder)
        return self._unknown[rows]

    def _check_architecture(self, stage: Stage) -> None:
        self._check_length(stage)
        if stage.learner.layers:
            layers_of(self._folders.shape_of(stage))

    def _check_length(self, stage: Stage) -> None:
        """Refuse a limit of tokens that is above the number of the model's positions."""
        positions = families.positions(self._folders.shape_of(stage).config)
        limit = self._data[stage.data].max_tokens
        if positions is not None and limit > positions:
            key = f"{'' if stage.data == TASK else f'{stage.data}.'}dataset.max_tokens"
            raise Refused(
                f"{stage.learner.id} cannot read texts of so many tokens.",
                key=key,
                value=limit,
                rule=f"at most its {positions} positions",
                way_out=f"{key}={positions}",
            )

    def _check_files(self, stage: Stage) -> None:
        """Refuse a damaged tokenizer or damaged weights; each folder is read once."""
        spec, folder = stage.learner, self._folders.folder_of(stage)
        weights = stage.reads_own_weights and self._folders.has_weights(folder)
        if (folder, weights) not in self._checked:
            shape = self._folders.shape_of(stage)
            folder_checks.check_files(folder, shape, weights=weights, key=spec.config_key)
            self._checked.add((folder, weights))

    def _check_start(self, stage: Stage) -> None:
        """Refuse unknown labels, and layers that do not fit."""
        spec, folder = stage.learner, self._folders.folder_of(stage)
        if stage.already_finetuned:
            folder_checks.check_labels(
                folder,
                name=stage.label,
                task=self._data[stage.data].task,
                classes=self._data[stage.data].data.label_names,
                key=spec.config_key,
                labels=spec.labels,
            )
        elif spec.layers == ():
            self._check_one_text(stage)
        elif isinstance(stage.initialisation, TeacherLayers):
            self._check_layers(stage, stage.initialisation)
        elif spec.layers is not None and stage.earlier_stage is None:
            config = read_config(folder)
            depth = config.get("num_hidden_layers", config.get("n_layers"))
            if isinstance(depth, int):
                check_layers(spec.layers, depth)

    def _check_one_text(self, stage: Stage) -> None:
        """Refuse pairs for a static student, whose mean would not tell the two texts apart."""
        if self._data[stage.data].pairs:
            raise Refused(
                "A static student averages words, and cannot tell the texts of a pair apart.",
                key="student.layers",
                value=[],
                rule="one text column",
                way_out="student=minilm_2layer, or dataset.text=COLUMN",
            )

    def _check_layers(self, stage: Stage, copied: TeacherLayers) -> None:
        """Refuse a student that the teacher's layers do not fit."""
        spec, teacher = stage.learner, self._plan.stage(copied.teacher)
        try:
            folder_checks.check_start(
                self._folders.folder_of(stage),
                teacher=self._folders.folder_of(teacher),
                layers=spec.layers,
                key=spec.config_key,
            )
        except Refused as refusal:
            wanted = Start.teacher if copied.finetuned else Start.pretrained_teacher
            if refusal.key != "student.start" or self._config.student.start is wanted:
                raise
            # The method chose that start; the user chose the models.
            raise Refused(
                f"{spec.id} cannot start from the layers of {teacher.learner.id}: {refusal.what}",
                key=spec.config_key,
                value=spec.id,
                rule="a student of its teacher's family, width and vocabulary",
                way_out="another student or another teacher: student=distilbert goes with "
                "teacher=bert",
            ) from refusal

    def _context(self, stage: Stage) -> Context:
        stand_in = stage.learner.built is not None
        return Context(
            stage=stage.name,
            teachers=len(stage.teachers),
            combine=stage.combination.combine,
            task=self._data[stage.data].task.rules,
            compiled=self._config.runtime.compile,
            label_file=self._label_file(stage),
            # Stand-ins are of families that every algorithm trains: transformers is not imported.
            models=None if stand_in and stage.backbone_of is None else self._models(stage),
        )

    def _label_file(self, stage: Stage) -> str | None:
        """Return a file that teaches the stage with labels, whose logits are made up."""
        files = self._plan.file_teachers(stage)
        data = self._data[stage.data]
        return next((one.learner.id for one in files if data.answers(one).has_labels), None)

    def _models(self, stage: Stage) -> StageModels:
        """Return what an algorithm may ask about the stage's models.

        Raises:
            Refused: the learner cannot read the tokens of its language teacher.
        """
        key, shape = stage.learner.config_key, partial(self._folders.shape_of, stage)
        if stage.backbone_of is None:
            return StageModels(key, shape)
        teacher = self._plan.stage(stage.backbone_of)
        self._check_same_words(stage, teacher)
        both = [self._folders.folder_of(one) for one in (stage, teacher)]
        widths = {folder_checks.width_of(folder, key=key) for folder in both}
        # Only the weights show whether there is a head.
        unknown = not self._folders.has_weights(both[1])
        has_head = unknown or load_language_head(teacher, self._folders) is not None
        return StageModels(key, shape, has_head, len(widths) == 1)

    def _check_same_words(self, stage: Stage, teacher: Stage) -> None:
        """Refuse a learner whose vocabulary differs from that of its language teacher."""
        key, limit = stage.learner.config_key, self._data[stage.data].max_tokens
        ours, theirs = (
            loading.load_encoder(self._folders.folder_of(one), limit, key=key)
            for one in (stage, teacher)
        )
        check_maskable(ours, key=key)
        names = stage.learner.id, teacher.learner.id
        language.check_words(ours, theirs, names=names, key=key)


def load_language_head(teacher: Stage, folders: ModelFolders) -> language.LanguageHead | None:
    """Return the masked-LM head of a teacher's checkpoint; None if the checkpoint has none."""
    return language.load_head(
        folders.folder_of(teacher),
        seed=teacher.seed,
        random=teacher.starts_random,
        key=teacher.learner.config_key,
    )
