"""Every key and option is described, in the comments that its reader sees."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from distill_runner.command_line.help import page
from distill_runner.config.compose import config_path, option_names
from distill_runner.config.describe import (
    KeyDescription,
    header,
    method_keys,
    reference,
    schema_keys,
    stage_keys,
)

GROUPS = sorted(path.name for path in Path(config_path()).iterdir() if path.is_dir())


@cache
def described() -> dict[str, KeyDescription]:
    return {one.key: one for one in schema_keys()}


def test_every_key_of_the_schema_and_of_a_stage_is_described() -> None:
    undescribed = [one.key for one in (*described().values(), *stage_keys()) if not one.about]
    assert undescribed == []


def test_every_key_of_a_method_is_described() -> None:
    undescribed = [
        f"{method}: {one.key}"
        for method in option_names("method")
        for one in method_keys(method)
        if not one.about
    ]
    assert undescribed == []


def test_a_key_is_described_by_its_type_its_range_and_its_default() -> None:
    epochs, steps = described()["training.epochs"], described()["training.max_steps"]
    assert (epochs.takes, epochs.default) == ("a whole number, 1 or more", "15")
    assert (steps.takes, steps.default) == ("a whole number, 1 or more, or null", "null")


def test_a_methods_key_takes_what_the_setting_that_it_fills_takes() -> None:
    keys = {one.key: one for one in method_keys("distilbert")}
    assert keys["method.pretrain_temperature"].takes == "a number, above 0"
    assert keys["method.pretrain_epochs"].takes == "a whole number, 0 or more, or null"
    assert keys["method.baseline"].takes == "one of auto, never"


@pytest.mark.parametrize("group", GROUPS)
def test_every_option_has_a_header(group: str) -> None:
    bare = [
        path.name for path in Path(config_path(), group).glob("*.yaml") if not header(path).strip()
    ]
    assert bare == []


def test_the_reference_names_every_option_and_no_base_file() -> None:
    text = reference()
    for group in ("method", "teacher", "dataset", "experiment"):
        for option in option_names(group):
            assert f"`{group}={option}`" in text
    assert "=_" not in text


def test_a_base_file_is_no_option_on_the_help_page() -> None:
    assert not [word for word in page().replace(",", " ").split() if word.startswith("_")]
