"""A tracker is the class that the configuration names, the package's own or a user's."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest
from support.tiny import SHRUNK, command
from support.wandb_runs import CARD, track

from distill_runner.config.schema import Tracker
from distill_runner.errors import Refused
from distill_runner.tracking.trackers import JsonLinesTracker, make_tracker

OWN = """
from dataclasses import dataclass
from pathlib import Path

from distill_runner.tracking.trackers import Tracker


@dataclass
class Lines(Tracker):
    file: str
    prefix: str = "-"

    def open(self, folder, card):
        self.say(f"open {card.project} {card.job_type}")

    def log(self, values, *, step):
        self.say(f"log {step}")

    def finish(self, summary, *, failed=False):
        self.say(f"finish {failed}")
        self.note = "curves: with me"

    def close(self):
        self.say("close")

    def say(self, text):
        with open(self.file, "a") as lines:
            lines.write(f"{self.prefix} {text}\\n")


class Half(Tracker):
    pass
"""
YAML = """
defaults: [_base, _self_]
_target_: own_tracker.Lines
settings:
  file: ???
  prefix: '*'
"""


def test_json_lines_hold_the_card_the_points_and_the_summary(tmp_path: Path) -> None:
    tracker = track(tmp_path / "run", kind="jsonl")
    path = tmp_path / "run" / "tracker.jsonl"
    card, first, second, last = [json.loads(line) for line in path.read_text().splitlines()]
    assert card["card"]["config"] == CARD.config
    assert card["card"]["tags"] == ["bert", "small"]
    assert first == {"step": 0, "values": {"distill/loss": 1.0, "distill/soft": math.inf}}
    assert math.isnan(second["values"]["distill/soft"])
    assert last == {"summary": {"test/accuracy": 0.75, "select": "last"}, "failed": False}
    assert str(path) in (tracker.note or "")


def test_no_tracker_writes_nothing_and_has_nothing_to_say(tmp_path: Path) -> None:
    assert track(tmp_path, kind="none").note is None
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tracker class of a user's own, and the YAML that names it."""
    (tmp_path / "own_tracker.py").write_text(OWN)
    (tmp_path / "conf" / "tracker").mkdir(parents=True)
    (tmp_path / "conf" / "tracker" / "mine.yaml").write_text(YAML)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_tracker", raising=False)
    return tmp_path


def run_with(own: Path, monkeypatch: pytest.MonkeyPatch, *asked: str) -> int:
    (searchpath, *rest) = SHRUNK
    both = searchpath.replace("]", f",'file://{own}/conf']")
    folders = (f"output_dir={own}/run", f"store.dir={own}/store")
    return command(
        monkeypatch, "method=finetune", "tracker=mine", *folders, *asked, small=(both, *rest)
    )


def test_a_tracker_of_a_users_own_follows_a_run(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (f"tracker.settings.file={own}/lines", "tracker.project=mine")
    assert run_with(own, monkeypatch, *asked) == 0
    first, *points, last, end = (own / "lines").read_text().splitlines()
    assert (first, last, end) == ("* open mine finetune", "* finish False", "* close")
    assert points
    assert all(point.startswith("* log ") for point in points)
    assert "curves: with me" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("tracker.settings.fil=x", "tracker.settings.file=y"), "tracker.settings.fil"),
        ((), "tracker.settings.file"),
        (("tracker.settings.file=x", "tracker.project_name=x"), "tracker.project"),
    ],
)
def test_a_setting_that_a_users_tracker_does_not_have_is_refused(
    own: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    asked: tuple[str, ...],
    said: str,
) -> None:
    assert run_with(own, monkeypatch, *asked) == 2
    assert said in capsys.readouterr().err
    assert not (own / "lines").exists()


@pytest.mark.parametrize("at", ["warm_up", "open"])
def test_an_error_in_a_users_tracker_ends_the_run_as_one_of_its_own(
    at: str, own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = (own / "own_tracker.py").read_text()
    arguments = "self" if at == "warm_up" else "self, folder, card"
    fault = f"    def {at}({arguments}):\n        raise RuntimeError('no line')\n\n"
    before = "    def finish("
    assert before in source
    (own / "own_tracker.py").write_text(source.replace(before, fault + before, 1))
    assert run_with(own, monkeypatch, f"tracker.settings.file={own}/lines") == 1
    said = capsys.readouterr().err
    assert "RuntimeError: no line" in said
    assert "Traceback" not in said
    assert json.loads((own / "run" / "attempt.json").read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("own_tracker.Nobody", "There is no such class."),
        ("no_package.Mine", "There is no such class."),
        ("own_tracker.Half", "That class cannot be used as a tracker."),
        ("os.system", "That class cannot be used as a tracker."),
        ("collections.OrderedDict", "That class cannot be used as a tracker."),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_is_no_tracker_is_refused_by_its_key(target: str, what: str) -> None:
    with pytest.raises(Refused) as refused:
        make_tracker(Tracker(_target_=target))
    assert refused.value.what == what
    assert refused.value.key == "tracker._target_"


def test_a_tracker_without_settings_takes_none() -> None:
    target = f"{JsonLinesTracker.__module__}.{JsonLinesTracker.__name__}"
    assert isinstance(make_tracker(Tracker(_target_=target)), JsonLinesTracker)
    with pytest.raises(Refused, match=r"tracker\.settings"):
        make_tracker(Tracker(_target_=target, settings={"url": "x"}))
