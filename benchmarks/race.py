"""Races contenders against each other, in an order shuffled every round."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from benchmarks import figures
from benchmarks.children import open_worker
from benchmarks.options import OURS, RACES, Options
from benchmarks.peers.install import provide
from benchmarks.record import Report, percent, times

Say = Callable[[str], None]


def run(options: Options, say: Say) -> Report:
    """Race distill-run against the subcommand's peers."""
    peers = options.against or RACES[options.command]
    provide(tuple(peers), options.shared / "peers", options.textbrewer_path)
    names = (OURS, *peers)
    raw = _measure(options, names, say)
    return _report(options, names, raw)


def _measure(options: Options, names: tuple[str, ...], say: Say) -> dict[str, Any]:
    shuffle = random.Random(options.seed)
    with ExitStack() as stack:
        workers, facts, warm = {}, {}, {}
        for name in names:
            worker = workers[name] = stack.enter_context(open_worker(name, options))
            facts[name] = worker.answer()["ready"]
            worker.ask()
            warm[name] = worker.answer()
            say(f"{name}: ready; {warm[name]['steps']} steps to warm up")
        rounds = []
        for number in range(options.rounds):
            order = list(names)
            shuffle.shuffle(order)
            turns = {}
            for name in order:
                workers[name].ask()
                turns[name] = workers[name].answer()
            rounds.append({"order": order, "turns": turns})
            rates = ", ".join(f"{n} {t['rows'] / t['seconds']:.3g}" for n, t in turns.items())
            say(f"round {number + 1} of {options.rounds}, rows/s: {rates}")
    return {"facts": facts, "warm": warm, "rounds": rounds}


def _report(options: Options, names: tuple[str, ...], raw: dict[str, Any]) -> Report:
    summary = {name: figures.summary(name, raw["rounds"]) for name in names}
    projected = {
        name: {
            str(epochs): figures.projected_seconds(
                raw["facts"][name], summary[name]["seconds_per_step"], epochs
            )
            for epochs in options.epochs
        }
        for name in names
    }
    rows = [
        [
            name,
            f"{found['rows_per_second']:,.1f}",
            "1" if name == OURS else _ratio(found),
            percent(raw["facts"][name]["tokens"] / raw["facts"][name]["padded"]),
            f"{found['peak_bytes'] / 1e9:.2f}",
            " / ".join(f"{seconds / 60:,.1f}" for seconds in projected[name].values()),
        ]
        for name, found in summary.items()
    ]
    return Report(
        title=f"{options.command}: optimiser steps on the same {options.rows:,} rows",
        columns=(
            "",
            "rows/s",
            "ours faster by [min, max]",
            "not padding",
            "peak GB",
            f"projected minutes, {' / '.join(map(str, options.epochs))} epochs",
        ),
        rows=rows,
        notes=(
            "Rates and ratios: over all rounds, whose batches together represent an epoch; in "
            "brackets the worst and the best round. Projected: tokenising and a stored "
            "teacher's pass once, then epochs × (order + steps × mean step), each measured "
            "here.",
        ),
        found={"raw": raw, "summary": summary, "projected_seconds": projected},
    )


def _ratio(found: dict[str, float]) -> str:
    least, most = times(found["ratio_low"]), times(found["ratio_high"])
    return f"{times(found['ratio'])} [{least}, {most}]"
