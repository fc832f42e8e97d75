"""An interrupt is deferred, never lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.tiny import Bench, run
from support.training import Silent, job_of

from distill_runner.models import saving
from distill_runner.runtime.interrupts import defer_interrupts
from distill_runner.training import loop

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """As in a terminal, whatever these tests were started from."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in BOTH}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def steps(sent: list[signal.Signals], *, obeying: bool, done: list[str]) -> None:
    with defer_interrupts() as interrupts:
        for one in sent:
            signal.raise_signal(one)
            done.append("the step in flight")
        if obeying:
            interrupts.raise_pending()
        done.append("another step")


@pytest.mark.parametrize("sent", BOTH)
def test_an_interrupt_is_raised_after_the_step_in_flight(sent: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        steps([sent], obeying=True, done=done)
    assert done == ["the step in flight"]
    assert signal.getsignal(sent) is signal.default_int_handler


@pytest.mark.parametrize("sent", BOTH)
def test_an_interrupt_that_no_step_raised_is_raised_at_the_end(sent: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        steps([sent], obeying=False, done=done)
    assert done == ["the step in flight", "another step"]


def test_a_second_interrupt_is_obeyed_at_once() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        steps(BOTH, obeying=False, done=done)
    assert done == ["the step in flight"]


def test_an_interrupt_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    done: list[str] = []
    steps([signal.SIGINT], obeying=True, done=done)
    assert done == ["the step in flight", "another step"]


def test_an_interrupt_while_an_epoch_is_validated_loses_none_of_its_steps(tmp_path: Path) -> None:
    bench = Bench.make(tmp_path / "store", "finetune")

    epochs = iter(range(100))

    def validate() -> dict[str, float]:
        if next(epochs) == 0:
            signal.raise_signal(signal.SIGINT)
        return {"accuracy": 0.5}

    with pytest.raises(KeyboardInterrupt):
        loop.Loop(job_of(bench, tmp_path, validate=validate)).run(Silent())  # type: ignore[arg-type]
    resumed = loop.Loop(job_of(bench, tmp_path))
    assert resumed.progress.step == resumed.order.batches_per_epoch
    assert [scores["epoch"] for scores in resumed.progress.history] == [1.0]


def test_a_run_interrupted_while_its_student_is_scored_repeats_no_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("finetune", "runtime.checkpoint_seconds=300")

    def broken(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as scoring:
        scoring.setattr(saving, "save", broken)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "run", tmp_path / "store", *asked)
    made: list[int] = []
    step = loop.Loop.step
    monkeypatch.setattr(loop.Loop, "step", lambda *given: (made.append(1), step(*given)))
    run(tmp_path / "run", tmp_path / "store", *asked)
    assert not made
    assert "resumes after step 16" in capsys.readouterr().out
