"""Makes the table over the seeds of a sweep's settings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from distill_runner.evaluation.metrics.estimate import FEWEST_SEEDS, Estimate, holm
from distill_runner.report.at_chance import at_chance, both_at_chance
from distill_runner.report.choosing import BEST, validation_score
from distill_runner.report.columns import (
    Column,
    deciding_metric,
    gain_in,
    gain_or_difference,
    percent,
)
from distill_runner.report.over_seeds import DifferentRows, lead_over_seeds, score_over_seeds
from distill_runner.report.sweeps import (
    common_metric,
    format_points,
    other_columns,
    shared_overrides,
    test_column,
)
from distill_runner.results.files import Job
from distill_runner.results.schema import RunResult


def seed_rows(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """Return means and intervals over seeds; empty if no setting was run with several seeds.

    The best setting on validation comes first and is marked. p-values are adjusted for the number
    of settings (Holm).
    """
    groups = _settings(jobs)
    if all(len(runs) < 2 for runs in groups.values()):
        return []
    done = [_result(job) for runs in groups.values() for job in runs]
    metric, own, lead = common_metric(done), other_columns(done), gain_or_difference(done)
    order = sorted(groups, key=lambda setting: -(_mean_on_validation(groups[setting]) or 0.0))
    over = {setting: _over_seeds(groups[setting]) for setting in order}
    adjusted = _adjusted(over)
    rows = [
        _seed_row(setting, groups[setting], metric, own, lead, over[setting])
        | {"p (Holm)": _p_value(adjusted.get(setting))}
        for setting in order
    ]
    if metric is not None and len(rows) > 1 and _mean_on_validation(groups[order[0]]) is not None:
        rows[0]["mean validation"] = f"{BEST} {rows[0]['mean validation']}"
    empty = {title for title in ("at chance", "p (Holm)") if all(row[title] == "–" for row in rows)}
    return [{title: row[title] for title in row if title not in empty} for row in rows]


@dataclass(frozen=True)
class _OverSeeds:
    """A setting's score and lead over its seeds; None without predictions on the same rows."""

    score: Estimate | None = None
    lead: Estimate | None = None


def _over_seeds(jobs: Sequence[Job]) -> _OverSeeds:
    runs = [(job.folder, _result(job)) for job in jobs if job.folder is not None]
    if len(runs) < len(jobs):
        return _OverSeeds()
    metric = deciding_metric(runs[0][1])
    try:
        score = score_over_seeds(runs, metric)
        # If both models are at chance level, a gain means nothing.
        compared = all(result.baseline and not both_at_chance(result) for _, result in runs)
        return _OverSeeds(score, lead_over_seeds(runs, metric) if compared else None)
    except DifferentRows:
        return _OverSeeds()


def _adjusted(over: Mapping[str, _OverSeeds]) -> dict[str, float]:
    """Return the p-value of each setting's lead, adjusted for all of the table."""
    found = {
        setting: value
        for setting, each in over.items()
        if each.lead is not None and (value := each.lead.p_value()) is not None
    }
    return dict(zip(found, holm(list(found.values())), strict=True))


def _p_value(value: float | None) -> str:
    if value is None:
        return "–"
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def seed_lines(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Return the lines below the table over seeds."""
    lines = []
    marked = [row for row in rows if row["mean validation"].startswith(BEST)]
    if marked:
        row = marked[0]
        value = row["mean validation"].removeprefix(f"{BEST} ")
        over = f"{value} over {row['seeds']} seeds"
        equal = [one["job"] for one in rows if one["mean validation"] == value]
        as_high = f"; as high: {', '.join(equal)}" if equal else ""
        lines.append(f"{BEST} Best setting by mean validation: {row['job']}, {over}{as_high}")
    if any(1 < int(row["seeds"]) < FEWEST_SEEDS for row in rows):
        lines.append(f"Below {FEWEST_SEEDS} seeds no interval holds its level, so none is given.")
    lines.append("Intervals are over seeds and clusters of rows together.")
    return lines


def _settings(jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Group jobs with test rows by their overrides without the seed; count equal runs once."""
    common = set(shared_overrides(jobs))
    groups: dict[str, dict[str, Job]] = defaultdict(dict)
    for job in jobs:
        if job.result is not None and "test" in job.result.metrics:
            own_overrides = [item for item in job.result.overrides if item not in common]
            setting = " ".join(item for item in own_overrides if not item.startswith("seed="))
            groups[setting].setdefault(job.result.key, job)
    return {setting: list(found.values()) for setting, found in groups.items()}


def _result(job: Job) -> RunResult:
    assert job.result is not None
    return job.result


def _mean_on_validation(jobs: Sequence[Job]) -> float | None:
    known = [value for job in jobs if (value := validation_score(_result(job))) is not None]
    return sum(known) / len(known) if known else None


def _seed_row(
    setting: str,
    jobs: Sequence[Job],
    metric: str | None,
    own: Mapping[str, Column],
    lead: str,
    over: _OverSeeds,
) -> dict[str, str]:
    results = [_result(job) for job in jobs]
    column = ("test", deciding_metric(results[0]))
    figures = _known(percent(one.metrics, column) for one in results)
    # If both models are at chance level, a gain means nothing.
    nothing = all(map(both_at_chance, results))
    gains = [] if nothing else _known(gain_in(one, column) for one in results)
    chance = sum(at_chance(one.student) for one in results)
    on_validation = _mean_on_validation(jobs)
    row = {"job": setting or "all seeds"}
    if metric is None:
        row["metric"] = deciding_metric(results[0])
    return {
        **row,
        "seeds": str(len(results)),
        "mean validation": "–" if on_validation is None else f"{100 * on_validation:.2f}",
        f"mean {test_column(metric)}": f"{sum(figures) / len(figures):.2f}",
        f"mean {lead}": format_points(sum(gains) / len(gains) if gains else None),
        "at chance": f"{chance} of {len(results)}" if chance else "–",
        f"95% of the {lead}": _interval(over.lead),
        "95% of the test": _interval(over.score),
        **{f"mean {title}": _mean(results, column) for title, column in own.items()},
    }


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(results: Sequence[RunResult], column: Column) -> str:
    figures = _known(percent(one.metrics, column) for one in results)
    return f"{sum(figures) / len(figures):.2f}" if len(figures) == len(results) else "–"


def _interval(estimate: Estimate | None) -> str:
    interval = estimate.interval() if estimate else None
    return f"{100 * interval.low:.2f}..{100 * interval.high:.2f}" if interval else "–"
