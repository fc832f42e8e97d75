"""Makes the name and the group under which a tracker shows a run."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from distill_runner.command_line.overrides import typed_values
from distill_runner.config.schema import Config
from distill_runner.planning.stages import Plan
from distill_runner.results.files import FILES
from distill_runner.tracking.trackers import RunCard

_LONGEST = 120  # characters of a name


def run_card(
    config: Config,
    plan: Plan,
    *,
    settings: Mapping[str, object],
    overrides: Sequence[str],
    swept: Collection[str],
    sweep: Path | None,
) -> RunCard:
    """Make the card of a run for its tracker: its name, group and settings.

    Args:
        config: the whole configuration.
        plan: the run's plan.
        settings: the whole configuration as plain containers.
        overrides: what was typed for this run.
        swept: keys with several values in its sweep.
        sweep: folder of its sweep; None for a single run.
    """
    return RunCard(
        name=(_varying_overrides(overrides, swept) or _default_name(config, plan))[:_LONGEST],
        project=config.tracker.project,
        group=config.tracker.group or (_group_of(sweep) if sweep else None),
        job_type=plan.method,
        tags=(*config.tracker.tags, config.profile, config.dataset.name),
        config=settings,
    )


def _varying_overrides(overrides: Sequence[str], swept: Collection[str]) -> str:
    varying = [item for item in overrides if typed_values([item]).keys() & set(swept)]
    return " ".join(item.removeprefix("experiment=") for item in varying)


def _default_name(config: Config, plan: Plan) -> str:
    student = plan.stage(plan.deployed).learner.id.rstrip("/").rsplit("/", 1)[-1]
    return " · ".join([plan.method, _data(config), student, f"seed {config.seed}"])


def _data(config: Config) -> str:
    """Return the data set's name; for the user's files, the name of the file or folder."""
    own = config.dataset.path if config.dataset.name == "files" else None
    return Path(own).name if own else config.dataset.name


def _group_of(sweep: Path) -> str:
    """Return the sweep folder's name with a digest, since two sweeps may share a name."""
    began = (sweep / FILES).stat().st_mtime_ns  # written once, when the sweep begins
    digest = hashlib.sha256(f"{sweep.absolute()} {began}".encode()).hexdigest()
    return f"{sweep.name}-{digest[:6]}"
