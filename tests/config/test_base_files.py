"""A file such as `_base.yaml`, which other options extend, cannot be chosen itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import command


def test_a_base_file_cannot_be_chosen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(monkeypatch, "teacher=_base") == 2
    rule = next(line for line in capsys.readouterr().err.splitlines() if "rule:" in line)
    assert rule.startswith("  rule: one of bert, ")


def test_a_base_file_is_no_job_of_a_sweep_over_all_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = (f"output_dir={tmp_path}/sweep", f"store.dir={tmp_path}/store")
    command(monkeypatch, "-m", "tracker=glob(*)", "method=finetune", "dry_run=true", *folders)
    printed = capsys.readouterr().out
    assert all(f"tracker={name}" in printed for name in ("jsonl", "none", "wandb"))
    assert "tracker=_base" not in printed
