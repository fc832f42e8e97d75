"""The keys of stored stages, pinned: moving or renaming code must not change them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import Bench

KEYS = {
    "kd": {
        "teacher/bert-base-uncased": "7622ce4449188ba7",
        "teacher/roberta-base": "0f94dd102d9d7213",
        "kd": "17f0c60549e965e5",
    },
    "metadistil": {"metadistil": "7d6e7653412d2b8b"},
    "tmkd": {
        "pretrain/bert-base-uncased": "4b1f868e466b599b",
        "pretrain": "55583787bd1f92a4",
        "finetune": "bb5393a15bf09014",
    },
    "distilbert": {"pretrain": "a50b01902686069e", "finetune": "44d02adfc9e30793"},
    "noisy_student": {"generation-1": "104c27de74005784"},
}


@pytest.mark.parametrize("method", KEYS)
def test_stages_keep_the_keys_that_were_pinned(method: str, tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, method)
    keys = {stage.name: bench.runner.key_of(stage) for stage in bench.plan.stages if not stage.like}
    assert {name: keys[name] for name in KEYS[method]} == KEYS[method]
