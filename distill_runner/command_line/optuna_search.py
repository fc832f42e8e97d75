"""Rejects what Optuna's sweeper (`-m hydra/sweeper=optuna`) would fail on."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution

from hydra.core.override_parser.types import ChoiceSweep, Glob, Override

from distill_runner.errors import Refused

OPTUNA = "hydra/sweeper=optuna"
INSTALL = "pip install hydra-optuna-sweeper==1.3.0 'sqlalchemy<2'"
# These name code, or contain settings that are not validated here.
_NOT_TYPED = ("params", "search_space", "custom_search_space")
_COUNTS = ("n_trials", "n_jobs")


def check_search(override: Override, overrides: Sequence[str], *, sweeping: bool) -> None:
    """Reject an override that neither Optuna's nor Hydra's sweeper can search.

    Args:
        overrides: all overrides of the command.

    Raises:
        Refused: the override is invalid.
    """
    key = override.key_or_group
    if key.startswith(("hydra/sweeper", "hydra.sweeper")) and not sweeping:
        raise _refused(override, f"{key} belongs to a sweep.", "with -m", "the same with -m")
    if override.input_line == OPTUNA and not _installed():
        raise _refused(override, "Optuna's sweeper is not installed.", "its package", INSTALL)
    if key.startswith("hydra.sweeper."):
        _check_sweepers(override, key.removeprefix("hydra.sweeper."))
    searching = OPTUNA in overrides
    if override.is_interval_sweep() and not searching:
        way_out = f"-m {OPTUNA}, or values: {key}=VALUE,VALUE"
        raise _refused(
            override, "Intervals can only be searched by Optuna.", f"with {OPTUNA}", way_out
        )
    if searching:
        _check_searched(override)


def _check_sweepers(override: Override, name: str) -> None:
    value = override.value()
    if name.split(".")[0] in _NOT_TYPED:
        rule = "search spaces are typed as KEY=interval(LOW,HIGH) or KEY=VALUE,VALUE"
        raise _refused(override, f"hydra.sweeper.{name} cannot be set.", rule)
    if name == "direction" and value != "maximize":
        raise _refused(
            override,
            "Larger values are better for every metric.",
            "maximize, the default",
            "leave it out",
        )
    whole = isinstance(value, int) and not isinstance(value, bool)
    if name in _COUNTS and not (whole and value > 0):
        raise _refused(
            override, f"hydra.sweeper.{name} must be a count.", "a whole number above zero"
        )


def _check_searched(override: Override) -> None:
    value = override.value()
    if isinstance(value, Glob):
        raise _refused(
            override, "Optuna does not support glob().", "options by name, separated by commas"
        )
    chosen = value.list if isinstance(value, ChoiceSweep) else ()
    if any(isinstance(one, list | dict) for one in chosen):
        raise _refused(
            override,
            "Optuna can choose among plain values, but not among lists.",
            "numbers, names, true or false, null",
        )


def _installed() -> bool:
    try:
        distribution("hydra-optuna-sweeper")
    except PackageNotFoundError:
        return False
    return True


def _refused(override: Override, what: str, rule: str, way_out: str | None = None) -> Refused:
    return Refused(
        what,
        key=override.key_or_group,
        value=override.get_value_string(),
        rule=rule,
        way_out=way_out,
    )
