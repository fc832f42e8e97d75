"""The keys of stored stages, pinned: moving or renaming code must not change them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import Bench

KEYS = {
    "kd": {
        "teacher/bert-base-uncased": "85d78dc64b0bcd49",
        "teacher/roberta-base": "497c4a3d7c244d9b",
        "kd": "9616a4a0c75c0bf2",
    },
    "metadistil": {"metadistil": "5d46dba26450bfed"},
    "tmkd": {
        "pretrain/bert-base-uncased": "d68b99a7dc88568e",
        "pretrain": "b6f92f8298a1f019",
        "finetune": "92a9320676db1ba9",
    },
    "distilbert": {"pretrain": "0ac1622b42734908", "finetune": "117fe39f7b4ab943"},
    "noisy_student": {"generation-1": "d922e23c30737c87"},
}


@pytest.mark.parametrize("method", KEYS)
def test_stages_keep_the_keys_that_were_pinned(method: str, tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, method)
    keys = {stage.name: bench.runner.key_of(stage) for stage in bench.plan.stages if not stage.like}
    assert {name: keys[name] for name in KEYS[method]} == KEYS[method]
