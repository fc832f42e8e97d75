"""Makes every check that is possible before training; a dry run ends here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from distill_runner.config.schema import Config
from distill_runner.console.names import stage_name
from distill_runner.console.screen import Screen
from distill_runner.data.inputs import read_data
from distill_runner.errors import HubUnreachable
from distill_runner.hub.locate import is_classifier, locate_model
from distill_runner.jobs.announcements import show_plan
from distill_runner.models import folder_checks, untrusted
from distill_runner.pipeline.runner import Runner
from distill_runner.pipeline.tuning import Tuned
from distill_runner.planning.setting_checks import check_test_rows, check_threshold
from distill_runner.planning.stages import TASK, Plan
from distill_runner.runtime.machine import Machine, resolve_machine
from distill_runner.tracking.trackers import NoTracker

if TYPE_CHECKING:
    from distill_runner.data.load import Prepared


@dataclass(frozen=True)
class Ready:
    """A checked run: its plan and data, its machine and the runner of its stages."""

    plan: Plan
    data: Mapping[str, Prepared]
    machine: Machine
    runner: Runner
    tuned: Tuned | None = None  # None before the trials, and if there are none


class ModelFinder:
    """Finds models, on the hub if necessary; a dry run continues if the hub is unreachable."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._answers = True
        self.unchecked: dict[str, str] = {}  # why each model or data set could not be fetched

    def is_classifier(self, model: str, key: str) -> bool:
        """Return whether a model's config says that it is a trained text classifier."""
        folder = self.folder(model, key, config_only=True)
        return folder is not None and is_classifier(folder)

    def folder(self, model: str, key: str, *, config_only: bool = False) -> Path | None:
        """Return the model's folder; None in a dry run if the hub is unreachable.

        Raises:
            Refused: there is no such model.
        """
        directory, dry = self._config.paths.models, self._config.dry_run
        try:
            return locate_model(
                model,
                models_dir=Path(directory) if directory else None,
                key=key,
                config_only=config_only,
                weights=not dry,
                fetch_missing=self._answers,
            )
        except HubUnreachable as unreachable:
            self.note_unreachable(unreachable)
            return None

    def note_unreachable(self, unreachable: HubUnreachable) -> None:
        """Note in a dry run what could not be checked.

        Raises:
            HubUnreachable: the run is not a dry run.
        """
        if not self._config.dry_run:
            raise unreachable
        self._answers = False  # asked only once, since each attempt takes seconds
        self.unchecked.setdefault(str(unreachable.value), unreachable.what)


def prepare_run(
    config: Config, plan: Plan, hub: ModelFinder, *, screen: Screen, folder: Path, sweeping: bool
) -> Ready | None:
    """Read the data, print the plan and find the models.

    Returns:
        None for a dry run.

    Raises:
        Refused: the run is already known to fail later.
    """
    machine = resolve_machine(config.runtime)
    show = partial(
        show_plan,
        screen,
        plan,
        config,
        sweeping=sweeping,
        machine=machine,
        folder=None if config.dry_run else folder,
    )
    try:
        data = read_data(config, plan, say=screen.print)
    except HubUnreachable as unreachable:
        hub.note_unreachable(unreachable)
        show(None)
        _check_models(plan, hub)
        _print_unchecked(screen, hub.unchecked)
        return None
    check_test_rows(config, data[TASK].counts["test"])
    check_threshold(config, len(data[TASK].label_names))
    show(data)
    runner = Runner(config, plan, data, machine=machine, screen=screen, tracker=NoTracker())
    checked = runner.preflight()
    if not config.dry_run:
        return Ready(plan, data, machine, runner)
    for failure in checked.unreachable:
        hub.note_unreachable(failure)
    if checked.found:
        screen.print(f"found in the store: {', '.join(map(stage_name, checked.found))}")
    _print_unchecked(screen, hub.unchecked)
    return None


def _check_models(plan: Plan, hub: ModelFinder) -> None:
    """Check what can be checked of the models without data."""
    for stage in plan.stages:
        spec = stage.learner
        folder = None if spec.built or stage.answers else hub.folder(spec.id, spec.config_key)
        if folder is not None:
            shape = untrusted.check_config(folder, key=spec.config_key)
            folder_checks.check_files(folder, shape, weights=False, key=spec.config_key)


def _print_unchecked(screen: Screen, unchecked: Mapping[str, str]) -> None:
    if unchecked:
        screen.print(f"NOT CHECKED: {', '.join(unchecked)}. {next(iter(unchecked.values()))}")
