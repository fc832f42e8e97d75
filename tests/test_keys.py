"""The keys of stored stages, pinned: moving or renaming code must not change them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import Bench

KEYS = {
    "kd": {
        "teacher/bert-base-uncased": "1420ee498f5f204b",
        "teacher/roberta-base": "7f3d7cdb3298def8",
        "kd": "9f5411f9506749ab",
    },
    "metadistil": {"metadistil": "b3c514c033f561a0"},
    "tmkd": {
        "pretrain/bert-base-uncased": "2787c378a755d099",
        "pretrain": "253a8d985dc6030b",
        "finetune": "4e7d3f9b1d060cd0",
    },
    "distilbert": {"pretrain": "c3634ff00c3a2999", "finetune": "f76b8003a08c410d"},
    "noisy_student": {"generation-1": "5aaea7bac87cb354"},
}


@pytest.mark.parametrize("method", KEYS)
def test_stages_keep_the_keys_that_were_pinned(method: str, tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, method)
    keys = {stage.name: bench.runner.key_of(stage) for stage in bench.plan.stages if not stage.like}
    assert {name: keys[name] for name in KEYS[method]} == KEYS[method]
