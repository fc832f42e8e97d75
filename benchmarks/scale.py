"""Measures how cost grows with training rows, sequence length and the number of teachers."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import figures
from benchmarks.children import task
from benchmarks.options import Options
from benchmarks.product import Product
from benchmarks.record import Report
from benchmarks.setting import open_setting
from distill_runner.config.schema import Batching, Split, SplitScheme
from distill_runner.data.batches import Order
from distill_runner.data.encoding import encode
from distill_runner.data.load import prepare
from distill_runner.data.synthetic import generate
from distill_runner.models import loading
from distill_runner.runtime import memory

_CPU = torch.device("cpu")
# Training rows when the sequence length or the number of teachers varies.
_FEW = 2048
_HEADS = ("what", "preparing, µs/row", "tokenising", "order", "step, ms", "rows/s", "peak GB")


def run(options: Options, say: Callable[[str], None]) -> Report:
    """Measure each size in its own process, so that memory peaks do not mix."""
    few = replace(options, rows=min(_FEW, options.rows), sizes=(), lengths=(), teachers=())
    setting = open_setting(few, "kd")
    few = replace(few, model=str(setting.models.pretrained))
    raw: dict[str, dict[str, Any]] = {"rows": {}, "lengths": {}, "teachers": {}}
    for size in options.sizes:
        say(f"{size:,} rows")
        raw["rows"][str(size)] = task("measure_rows", few, size=size)
    for length in options.lengths:
        say(f"{length} tokens a row")
        raw["lengths"][str(length)] = task("measure_length", replace(few, max_tokens=length))
    for count in options.teachers:
        say(f"{count} teachers")
        raw["teachers"][str(count)] = task("measure_teachers", few, count=count)
    return Report(
        title="How cost scales",
        columns=_HEADS,
        rows=[*_rows_table(raw), *_steps_table(raw, options.epochs)],
        notes=(
            f"Tokens and teachers: optimiser steps of kd on {few.rows:,} rows. Teachers: rows/s "
            f"are projected to {', '.join(map(str, options.epochs))} epochs, including every "
            "teacher's single pass.",
        ),
        found={"raw": raw},
    )


def _rows_table(raw: dict[str, dict[str, Any]]) -> list[list[str]]:
    table = []
    for size, found in raw["rows"].items():
        names = ("prepare_seconds", "tokenise_seconds", "order_seconds")
        each = [f"{1e6 * found[name] / int(size):.1f}" for name in names]
        table.append([f"{int(size):,} rows", *each, "", "", _gb(found)])
    return table


def _steps_table(raw: dict[str, dict[str, Any]], epochs: tuple[int, ...]) -> list[list[str]]:
    table = []
    for length, found in raw["lengths"].items():
        rate = f"{found['rows_per_second']:,.1f}"
        table.append([f"{length} tokens", "", "", "", _ms(found), rate, _gb(found)])
    for count, found in raw["teachers"].items():
        facts = found["facts"]
        rates = [
            e * facts["rows"] / figures.projected_seconds(facts, found["seconds_per_step"], e)
            for e in epochs
        ]
        cells = " / ".join(f"{rate:,.0f}" for rate in rates)
        table.append([f"{count} teachers", "", "", "", _ms(found), cells, _gb(found)])
    return table


def _ms(found: dict[str, Any]) -> str:
    return f"{1000 * found['seconds_per_step']:.1f}"


def _gb(found: dict[str, Any]) -> str:
    return f"{found['peak_bytes'] / 1e9:.2f}"


def measure_rows(options: Options, folder: Path, *, size: int) -> dict[str, float]:
    """Prepare, tokenise and order `size` generated rows, without any cache."""
    setting = open_setting(options, "kd")
    encoder = loading.load_encoder(setting.models.teacher, options.max_tokens, key="--model")
    # Some generated sentences are duplicates, which preparation drops.
    split = Split(SplitScheme.random, quiz=100, validation=100, test=100)
    settings = replace(
        setting.config.dataset, generate=size + 300, path=None, text="text", split=split
    )
    memory.reset_peak(_CPU)
    before = memory.peak(_CPU)
    marks = [time.perf_counter()]
    data = prepare(settings, source=None, store_dir=folder)
    marks.append(time.perf_counter())
    table = data.splits["train"]
    encoding = encode(table, encoder, fingerprint=data.fingerprints["train"], store=folder)
    marks.append(time.perf_counter())
    batch = setting.stage.training.batch_size
    order = Order(encoding.lengths, batch, setting.config.seed, Batching.by_length).epoch(0)
    marks.append(time.perf_counter())
    for rows in order[:100]:
        encoding.inputs(rows)
    seconds = np.diff(marks).tolist()
    return {
        "prepare_seconds": seconds[0],
        "tokenise_seconds": seconds[1],
        "order_seconds": seconds[2],
        "bytes_before": before,
        "peak_bytes": memory.peak(_CPU),
    }


def measure_length(options: Options, folder: Path) -> dict[str, Any]:
    """Time steps on rows that all have the maximum length."""
    return _steps(options, folder, *long_rows(options, folder))


def long_rows(options: Options, folder: Path) -> tuple[str, ...]:
    """Write rows that all have the maximum length, and return the overrides that name them."""
    texts = [text for text, _ in generate(options.rows, 1)]
    per_row = options.max_tokens // 4 + 1  # a sentence has more than four tokens
    path = folder / "long.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for at in range(options.rows + 300):
            drawn = [texts[(at * 7 + n) % len(texts)] for n in range(per_row)]
            writer.writerow((f"{at} {' '.join(drawn)}", "ab"[at % 2]))
    return (
        "dataset=files",
        f"dataset.path='{path}'",
        f"dataset.split.train={options.rows}",
        "dataset.split.quiz=100",
        "dataset.split.validation=100",
        "dataset.split.test=100",
    )


def measure_teachers(options: Options, folder: Path, *, count: int) -> dict[str, Any]:
    """Time steps with `count` frozen teachers, all the same model."""
    teacher = open_setting(options, "kd").models.teacher
    models = ",".join([f"'{teacher}'"] * count)
    return _steps(options, folder, f"teacher.models=[{models}]")


def _steps(options: Options, folder: Path, *extra: str) -> dict[str, Any]:
    scratch = Path(tempfile.mkdtemp(dir=folder))
    product = Product(open_setting(options, "kd", *extra), scratch)
    chunks = product.chunks(options.rounds, options.steps)
    product.step(chunks[0])
    memory.reset_peak(_CPU)
    turns = []
    for batches in chunks[1:]:
        began = time.perf_counter()
        product.step(batches)
        took = time.perf_counter() - began
        turns.append({"seconds": took, "rows": sum(len(batch.rows) for batch in batches)})
    seconds = sum(turn["seconds"] for turn in turns)
    return {
        "facts": asdict(product.facts()),
        "turns": turns,
        "seconds_per_step": seconds / (len(turns) * options.steps),
        "rows_per_second": sum(turn["rows"] for turn in turns) / seconds,
        "peak_bytes": memory.peak(_CPU),
    }
