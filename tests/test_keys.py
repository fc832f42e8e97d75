"""The keys of stored stages, pinned: moving or renaming code must not change them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.tiny import Bench

KEYS = {
    "kd": {
        "teacher/bert-base-uncased": "edd27c6dd3b76d81",
        "teacher/roberta-base": "def8f7418f0bd041",
        "kd": "421d3bc3d8f206af",
    },
    "metadistil": {"metadistil": "e93287311a58dd3d"},
    "tmkd": {
        "pretrain/bert-base-uncased": "2dcc1148eaa5b029",
        "pretrain": "3075ec7ea3adc436",
        "finetune": "cc8100fd258df006",
    },
    "distilbert": {"pretrain": "3a3390e727f93a50", "finetune": "d005a96a25b8d3b0"},
    "noisy_student": {"generation-1": "a3058dba5068601b"},
}


@pytest.mark.parametrize("method", KEYS)
def test_stages_keep_the_keys_that_were_pinned(method: str, tmp_path: Path) -> None:
    bench = Bench.make(tmp_path, method)
    keys = {stage.name: bench.runner.key_of(stage) for stage in bench.plan.stages if not stage.like}
    assert {name: keys[name] for name in KEYS[method]} == KEYS[method]
