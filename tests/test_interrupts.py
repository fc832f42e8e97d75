"""An interrupt is put off, never lost."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from distill_runner.interrupts import put_off

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _heard() -> Iterator[None]:
    """As in a terminal, whatever these tests were started from."""
    before = {one: signal.signal(one, signal.default_int_handler) for one in BOTH}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def steps(sent: list[signal.Signals], *, obeying: bool, done: list[str]) -> None:
    with put_off() as interrupts:
        for one in sent:
            signal.raise_signal(one)
            done.append("the step in flight")
        if obeying:
            interrupts.obey()
        done.append("another step")


@pytest.mark.parametrize("sent", BOTH)
def test_an_interrupt_is_obeyed_behind_the_step_in_flight(sent: signal.Signals) -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        steps([sent], obeying=True, done=done)
    assert done == ["the step in flight"]
    assert signal.getsignal(sent) is signal.default_int_handler


@pytest.mark.parametrize("sent", BOTH)
def test_what_nobody_obeyed_is_obeyed_at_the_end(sent: signal.Signals) -> None:
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
