"""Composes distill-run's configuration for a benchmark with Hydra."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from benchmarks.options import Options
from distill_runner.command_line.hydra_errors import explain
from distill_runner.command_line.overrides import check_overrides
from distill_runner.config.compose import config_path, register_schema

# Rows besides the training rows; no timed code reads validation or test rows.
_QUIZ, _VALIDATION, _TEST = 100, 100, 200


def compose_config(overrides: Sequence[str], options: Options) -> DictConfig:
    """Compose the configuration of `distill-run OVERRIDES`.

    Raises:
        Refused: an override is not valid.
    """
    register_schema()
    given = [
        f"output_dir='{options.output}'",
        f"store.dir='{options.shared / 'store'}'",
        "tracker=none",
        "runtime=cpu",
        f"runtime.threads={options.threads}",
        f"runtime.precision={options.precision[0]}",
        # A constant schedule makes chunks independent of the total number of steps.
        "training.schedule=constant",
        "training.warmup_fraction=0",
        *overrides,
    ]
    try:
        check_overrides(given)
        with initialize_config_dir(config_path(), version_base="1.3"):
            composition: DictConfig = compose("config", overrides=given)
            return composition
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, given) from None


def data_overrides(options: Options, extra: Sequence[str]) -> list[str]:
    """Return overrides that choose the data, unless `extra` chooses a data set."""
    limit = f"dataset.max_tokens={options.max_tokens}"
    if any(override.startswith("dataset=") for override in extra):
        return [limit]
    train = [f"dataset.split.train={options.rows}", f"dataset.split.test={_TEST}", limit]
    if options.data is not None:
        return ["dataset=sst2", f"dataset.path='{options.data}'", *train]
    total = options.rows + _QUIZ + _VALIDATION + _TEST
    return [
        "dataset=synthetic",
        f"dataset.generate={total}",
        f"dataset.split.validation={_VALIDATION}",
        *train,
    ]


def drop_model_overrides(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that do not concern models; these suffice to prepare the data."""
    return [o for o in overrides if not o.startswith(("method.", "teacher", "student"))]


def model_overrides(options: Options, *, pretrained: Path, teacher: Path) -> list[str]:
    """Return overrides for a teacher used without training, and a student of its bottom layers."""
    layers = ",".join(str(at) for at in range(options.student_layers))
    return [
        "teacher=minilm",
        f"teacher.models=['{teacher}']",
        "teacher.finetune=never",
        "teacher.near_chance=allow",
        "student=minilm_3layer",
        f"student.model='{pretrained}'",
        f"student.layers=[{layers}]",
        "method.baseline=never",
    ]
