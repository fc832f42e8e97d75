"""Reads a plan's data sets from files or the hub."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from distill_runner.config.schema import Config, Dataset, Unlabelled
from distill_runner.data.answered_rows import count_unanswered
from distill_runner.data.load import Prepared, prepare
from distill_runner.data.readers.files import locate
from distill_runner.data.unlabelled import Sources, add_unlabelled, check_rest
from distill_runner.errors import Refused
from distill_runner.hub.locate import file_digest, hub_revision, locate_dataset
from distill_runner.planning.stages import TASK, UNLABELLED, Plan
from distill_runner.results.origins import DataSource, HubData
from distill_runner.storage.integrity import Say
from distill_runner.tasks.kinds import task_of


def read_data(config: Config, plan: Plan, *, say: Say = print) -> dict[str, Prepared]:
    """Read every data set that the plan's stages use, divided into splits.

    Args:
        config: the run's configuration.
        plan: the run's plan.
        say: receives messages about rows left out and about damage in the store.

    Raises:
        Refused: a file, a column or a label is missing or wrong.
    """
    data = {name: _read_answered(config, name, plan, say) for name in plan.data}
    for prepared in data.values():
        for file, counts in prepared.left_out.items():
            lacking = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
            say(f"left out of {file}: {lacking}")
    return data


def _read_answered(config: Config, name: str, plan: Plan, say: Say) -> Prepared:
    """Read one data set, and count the rows that teachers' files do not answer."""
    prepared = _read(config, name, plan, say)
    return count_unanswered(prepared, plan, name, task_of(settings_of(config, name)), say)


def _read(config: Config, name: str, plan: Plan, say: Say) -> Prepared:
    """Read one data set, with its unlabelled rows if they are used."""
    settings = settings_of(config, name)
    store, prefix = Path(config.store.dir), "" if name == TASK else f"{name}."
    unlabelled, at = settings.unlabelled, "dataset"
    try:
        source = source_of(settings, config)
        prepared = prepare(settings, source=source, store_dir=store, say=say)
        if not plan.reads_unlabelled(name):
            return prepared
        at, rest = "dataset.unlabelled", plan.reads_rest(name, unlabelled)
        sources = Sources(source_of(unlabelled, config), rest=rest)
        if rest and sources.file is None:
            at = "dataset"  # the split is at fault
            check_rest(prepared)
        return add_unlabelled(prepared, settings, sources=sources, store_dir=store, say=say)
    except Refused as error:
        raise error.rename_key("dataset", f"{prefix}{at}") from error


def given_data(config: Config, plan: Plan) -> dict[str, DataSource]:
    """Return the origin of each data set of the plan: its path or hub id, files and digests."""
    given = {}
    for name in plan.data:
        settings = settings_of(config, name)
        given[name] = _given(settings, settings, config)
        unlabelled = settings.unlabelled
        rest_only = plan.reads_rest(name, unlabelled) and not unlabelled.in_files
        if plan.reads_unlabelled(name) and not rest_only:
            given[f"{name} {UNLABELLED}"] = _given(unlabelled, settings, config)
    return given


def _given(named: Dataset | Unlabelled, settings: Dataset, config: Config) -> DataSource:
    source = None if named.generate else source_of(named, config)
    if source is None:
        return DataSource(generated=named.generate, path=None, hub=None, revision=None, files={})
    if named is settings:
        files = locate(settings, source)
    else:
        files = {"train": locate(replace(settings, extra=[]), source)["train"]}
    return DataSource(
        generated=0,
        path=named.path,
        hub=None if named.path else HubData(id=named.hub, subset=named.subset),
        revision=hub_revision(source),
        files={path.name: file_digest(path) for paths in files.values() for path in paths},
    )


def settings_of(config: Config, name: str) -> Dataset:
    """Return the settings of the plan's data set `name`."""
    settings = config.dataset if name == TASK else config.pretrain.dataset
    assert settings is not None
    return settings


def source_of(
    settings: Dataset | Unlabelled, config: Config, *, fetch_missing: bool = True
) -> Path | None:
    """Locate the files of a data set, and fetch them from the hub if necessary.

    Returns:
        The file or folder; None for a generated data set.

    Raises:
        Refused: the files cannot be found.
    """
    if settings.path is not None:
        return Path(settings.path).expanduser()
    if settings.hub is None:
        return None
    directory = config.paths.datasets
    return locate_dataset(
        settings.hub,
        subset=settings.subset,
        datasets_dir=Path(directory) if directory else None,
        key="dataset.hub",
        fetch_missing=fetch_missing,
    )
