"""An export is uploaded in one commit, after it was said what goes where."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hub_server import Hub, closed_port, serve_hub

from distill_runner import DistillError
from distill_runner.export.push import push

Start = Callable[[str], Path]
PROGRAM = (
    "import sys; sys.argv[0] = 'distill'; from distill_runner.commands.distill import main; main()"
)
ROOT = Path(__file__).parents[2]


def typed(hub: str, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What `distill WORDS` answers in a process of its own, since the hub's client reads its
    address when it is imported."""
    given = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "HF_TOKEN": "mine", **settings}
    kept = {name: value for name, value in {**os.environ, **given}.items() if value}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words], capture_output=True, text=True, cwd=ROOT, env=kept
    )


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    (tmp_path / "hub").mkdir()
    with serve_hub(tmp_path / "hub") as served:
        yield served


@pytest.mark.slow
def test_every_file_of_an_export_is_pushed_to_a_private_repository(
    hub: Hub, trained: Start, tmp_path: Path
) -> None:
    words = ("--vocabulary", "train", "--push", "team/films", "--output", str(tmp_path / "export"))
    done = typed(hub.url, "export", str(trained("one")), *words)
    assert done.returncode == 0, done.stderr
    assert [one["visibility"] for one in hub.created] == ["private"]
    files = [path for path in (tmp_path / "export").rglob("*") if path.is_file()]
    assert hub.pushed == {
        f"team/films/{path.relative_to(tmp_path / 'export').as_posix()}": path.read_bytes()
        for path in files
    }
    said = re.search(r"Uploading (\d+) files \([\d.]+ MB\) to team/films:", done.stdout)
    assert said is not None
    assert int(said[1]) == len(files)
    assert f"Uploaded: {hub.url}/team/films/commit/" in done.stdout


def test_a_push_that_fails_names_the_command_that_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "README.md").write_text("A card.")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", closed_port())
    monkeypatch.setenv("HF_TOKEN", "mine")
    with pytest.raises(DistillError, match="is complete, and its upload failed") as failed:
        push(tmp_path, "team/films", message="An export")
    assert f"hf upload team/films {tmp_path}" in str(failed.value)
    assert (tmp_path / "README.md").is_file()


@pytest.mark.parametrize(
    ("repository", "settings", "reason"),
    [
        ("team/films", {"HF_TOKEN": "", "HF_HOME": "nowhere"}, "No token of the hub is known here"),
        ("team/films", {"HF_HUB_OFFLINE": "1"}, "The hub is switched off here"),
        ("a b/c/d", {}, "'a b/c/d' is no repository"),
    ],
)
def test_a_push_that_cannot_succeed_is_refused_before_the_export(
    repository: str, settings: dict[str, str], reason: str, tmp_path: Path
) -> None:
    done = typed(closed_port(), "export", str(tmp_path), "--push", repository, **settings)
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
