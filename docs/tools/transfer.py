"""The table of students that learn a pool of texts without labels."""

from __future__ import annotations

from formats import adjusted, lead, lead_over, runs, score, table

from distill_runner.evaluation.predictions_file import BASELINE
from distill_runner.report.over_seeds import lead_over_seeds, score_over_seeds

TRANSFER = "2026-11-26-minilm-sst2-transfer"
_TEACHER = "teachers/all-MiniLM-L6-v2"
_POOLS = {"none": "none", "5000": "5,000", "20000": "20,000", "all": "all, 45,629"}


def transfer() -> str:
    """Return the scores of a student by the size of its pool, and its lead over no teacher."""
    alone = runs(TRANSFER, "static-none")
    pools = {name: runs(TRANSFER, f"static-{name}") for name in _POOLS}
    leads = [lead_over_seeds(pools["none"], "accuracy")]
    leads += [lead_over(found, alone, other=BASELINE) for found in list(pools.values())[1:]]
    rows = [
        ("teacher, 6 layers", "", *_both(alone, _TEACHER), "", ""),
        ("static, fine-tuned, best epoch", "", *_both(alone, BASELINE), "", ""),
    ]
    for name, found, one, p in zip(pools, pools.values(), leads, adjusted(leads), strict=True):
        rows.append(("static, `kd`", _POOLS[name], *_both(found, ""), lead(one, 1), p))
    columns = ("model", "pool", "test (10,000)", "official (872)", "over fine-tuned", "p (Holm)")
    return table(columns, rows)


def _both(found: object, model: str) -> tuple[str, str]:
    return tuple(  # type: ignore[return-value]
        score(score_over_seeds(found, "accuracy", model=model, split=split))  # type: ignore[arg-type]
        for split in ("test", "official")
    )
