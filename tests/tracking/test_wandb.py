"""Curves arrive in W&B, and a broken W&B costs a run seconds at most."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from support.wandb_runs import CARD, inspect, losses, run_folders, seconds_of, track, wait_until

from distill_runner.tracking import wandb
from distill_runner.tracking.wandb import WandbTracker

MOST_SECONDS = 10.0
CLOCKS = (wandb.OPEN_SECONDS, wandb.FINISH_SECONDS)  # as the product has them


@pytest.fixture(autouse=True)
def _a_busy_machine_changes_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    """The training waits as long as its child takes; processes of their own keep its clocks."""
    monkeypatch.setattr(wandb, "OPEN_SECONDS", 30.0)
    monkeypatch.setattr(wandb, "FINISH_SECONDS", 30.0)


@pytest.fixture(autouse=True)
def _only_this_tests_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-settings"))
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def use_server(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("WANDB_API_KEY", "local-" + "a" * 40)


class Server(ThreadingHTTPServer):
    """As much of a W&B server as one run asks for; `behave` may break it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.status = 200
        self.answers_left = math.inf  # then it takes requests and stays silent
        self.paths: list[str] = []
        self.released = threading.Event()


class Answer(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.paths.append(self.path)
        self.server.answers_left -= 1
        if self.server.answers_left < 0:
            self.server.released.wait()
            return
        answer = json.dumps({"data": self.data(body) if self.path == "/graphql" else {}}).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = do_POST

    def data(self, body: bytes) -> dict[str, Any]:
        asked = json.loads(body)
        if "upsertBucket" in asked["query"]:
            project = {"id": "p", "name": "proj", "entity": {"id": "e", "name": "ent"}}
            name = asked["variables"]["name"]
            bucket = {"id": "b", "name": name, "displayName": name, "project": project}
            return {"upsertBucket": {"bucket": bucket, "inserted": True}}
        if "createRunFiles" in asked["query"]:
            root = f"http://127.0.0.1:{self.server.server_port}/upload"
            names = asked["variables"]["files"]
            files = [{"name": name, "uploadUrl": f"{root}/{name}"} for name in names]
            return {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}
        return {"viewer": {"id": "v"}}

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving(Server()) as server:
        use_server(monkeypatch, server.server_port)
        yield server


def offline_run(folder: Path, *, note: str | None, reason: str) -> Path:
    """The one offline run under `folder`, after a look at what the note says of it."""
    (run_folder,) = [path for path in run_folders(folder) if path.name.startswith("offline-")]
    assert note is not None
    assert reason in note
    assert note.endswith(f"wandb sync {run_folder}")
    return run_folder


def test_without_a_key_two_runs_of_one_process_are_two_complete_offline_runs(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    random_state = random.getstate()
    first, second = track(tmp_path), track(tmp_path)
    assert random.getstate() == random_state
    assert "wandb" not in sys.modules
    assert capfd.readouterr() == ("", "")
    assert first.note != second.note
    folders = run_folders(tmp_path)
    assert len(folders) == 2
    for run_folder in folders:
        records = inspect(run_folder)
        (run,) = records["run"]
        assert (run["project"], run["run_group"], run["job_type"]) == ("small", "kd", "train")
        assert (run["display_name"], run["tags"]) == ("kd-seed1", ["bert", "small"])
        assert {key: run["config"]["update"][key] for key in CARD.config} == CARD.config
        assert losses(records) == [(0, 1.0), (10, 0.5)]
        assert records["history"][1]["item"]["distill/soft"] == "NaN"
        summary = {
            key: value for part in records["summary"] for key, value in part["update"].items()
        }
        assert (summary["test/accuracy"], summary["select"]) == (0.75, "last")
        assert records["exit"][0].get("exit_code", 0) == 0
    assert "no API key" in (first.note or "")
    assert f"wandb sync {tmp_path}" in (first.note or "")


def test_a_server_that_is_up_gets_the_curves_and_the_note_names_their_page(
    tmp_path: Path, server: Server
) -> None:
    tracker = track(tmp_path)
    assert f"http://127.0.0.1:{server.server_port}/ent/proj/runs/" in (tracker.note or "")
    assert any(path.endswith("/file_stream") for path in server.paths)


def test_wandb_mode_offline_is_honoured_although_there_is_a_key(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = track(tmp_path)
    offline_run(tmp_path, note=tracker.note, reason="W&B is offline; ")
    assert server.paths == []


def test_wandb_mode_disabled_leaves_no_run_and_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert track(tmp_path).note is None
    assert run_folders(tmp_path) == []


def test_a_closed_port_sends_the_run_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_server(monkeypatch, 1)
    start = time.monotonic()
    tracker = track(tmp_path)
    assert time.monotonic() - start < MOST_SECONDS
    run_folder = offline_run(tmp_path, note=tracker.note, reason="the server does not answer")
    assert losses(inspect(run_folder)) == [(0, 1.0), (10, 0.5)]


def test_a_refused_key_sends_the_run_offline(tmp_path: Path, server: Server) -> None:
    server.status = 401
    start = time.monotonic()
    tracker = track(tmp_path)
    assert time.monotonic() - start < MOST_SECONDS
    offline_run(tmp_path, note=tracker.note, reason="refuses the API key")


def test_the_clocks_add_up_to_less_than_ten_seconds() -> None:
    assert sum(CLOCKS) < MOST_SECONDS
    # The child gives up first, so that its note still reaches the screen.
    assert CLOCKS[1] > wandb.UPLOAD_SECONDS


def test_a_server_that_dies_before_the_run_is_known_sends_it_offline(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "INIT_SECONDS", 0.5)
    server.answers_left = 1
    start = time.monotonic()
    tracker = track(tmp_path)
    assert time.monotonic() - start < MOST_SECONDS
    run_folder = offline_run(tmp_path, note=tracker.note, reason="the server does not answer")
    assert losses(inspect(run_folder)) == [(0, 1.0), (10, 0.5)]


def test_a_server_that_dies_in_midrun_leaves_the_whole_run_to_sync(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "UPLOAD_SECONDS", 0.5)

    def die() -> None:
        server.answers_left = 0

    start = time.monotonic()
    tracker = track(tmp_path, midway=die)
    assert time.monotonic() - start < MOST_SECONDS
    (run_folder,) = run_folders(tmp_path)
    assert losses(inspect(run_folder)) == [(0, 1.0), (10, 0.5)]
    assert (tracker.note or "").endswith(f"wandb sync --include-online {run_folder}")


PROGRAM = """
import sys, pathlib
sys.path.insert(0, {tests!r})
from support import wandb_runs
wandb_runs.track(pathlib.Path(sys.argv[1]), kind=sys.argv[2])
"""


def test_a_black_hole_costs_a_whole_process_under_ten_seconds_its_exit_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]))

    def process(kind: str) -> None:
        command = [sys.executable, "-c", program, str(tmp_path), kind]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout + done.stderr == ""

    with socket.create_server(("127.0.0.1", 0)) as black_hole:
        use_server(monkeypatch, black_hole.getsockname()[1])
        delay = seconds_of(lambda: process("wandb")) - seconds_of(lambda: process("none"))
    assert delay < MOST_SECONDS
    assert len(run_folders(tmp_path)) == 1


def test_a_child_that_hangs_holds_the_run_by_the_runs_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb, "LOCAL_FINISH_SECONDS", 0.5)
    tracker = WandbTracker()
    tracker.open(tmp_path, CARD)
    child = tracker._child
    assert child is not None
    wait_until(lambda: "not answered yet" not in (tracker.note or ""))
    child.send_signal(signal.SIGSTOP)
    try:
        for step in range(2000):  # more than the pipe holds
            tracker.log({f"distill/loss{step}": 1.0}, step=step)
        assert seconds_of(lambda: tracker.finish({})) < 2.0
        assert "did not finish in 0.5 s" in (tracker.note or "")
    finally:
        child.kill()
        child.wait()


def test_a_child_that_is_killed_costs_a_note_and_not_the_run(tmp_path: Path) -> None:
    tracker = WandbTracker()
    tracker.open(tmp_path, CARD)
    assert tracker._child is not None
    tracker._child.kill()
    tracker._child.wait()
    tracker.log({"distill/loss": 1.0}, step=0)
    tracker.finish({})
    assert "wandb.log" in (tracker.note or "")


def test_a_training_that_is_killed_leaves_its_points_in_a_failed_run(tmp_path: Path) -> None:
    # Killed from without, as by a scheduler: no `finish`, no exit hook.
    program = PROGRAM.format(tests=str(Path(__file__).parents[1])).replace(
        "kind=sys.argv[2]", "midway=lambda: (print(flush=True), wandb_runs.time.sleep(60))"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as training:
        assert training.stdout is not None
        training.stdout.readline()
        time.sleep(0.5)
        training.kill()
    wait_until(lambda: bool(run_folders(tmp_path)))
    wait_until(lambda: "exit" in inspect(run_folders(tmp_path)[0]))
    records = inspect(run_folders(tmp_path)[0])
    assert losses(records) == [(0, 1.0)]
    assert records["exit"][0]["exit_code"] == 1


def test_a_folder_that_cannot_be_made_costs_a_note_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "no curves" in (track(tmp_path / "file").note or "")


def test_a_wandb_folder_that_cannot_be_made_costs_a_note_and_not_the_run(tmp_path: Path) -> None:
    (tmp_path / "wandb").write_text("in the way")
    assert track(tmp_path).note is not None


def test_a_child_that_was_started_early_serves_the_run(tmp_path: Path) -> None:
    tracker = WandbTracker()
    tracker.warm_up()
    child = tracker._child
    tracker.open(tmp_path, CARD)
    assert tracker._child is child
    tracker.log({"distill/loss": 1.0}, step=0)
    tracker.finish({"test/accuracy": 0.75})
    tracker.close()
    assert "wandb sync" in (tracker.note or "")
    (folder,) = run_folders(tmp_path)
    assert inspect(folder)["summary"]


def test_a_child_that_no_run_needs_is_ended() -> None:
    tracker = WandbTracker()
    tracker.warm_up()
    child = tracker._child
    assert child is not None
    tracker.close()
    assert child.poll() is not None
