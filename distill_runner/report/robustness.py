"""Reports accuracy under noise: a table for the terminal, and one for the model card."""

from __future__ import annotations

from distill_runner.report.fitted import Fitted, Row
from distill_runner.results.measurements import Robustness
from distill_runner.results.schema import RunResult
from distill_runner.results.scores import Difference


def robustness_table(result: RunResult) -> Fitted | None:
    """Return a row for each noise and a column for each model; None if it was not measured."""
    robustness = result.robustness
    if robustness is None:
        return None
    (_, _, *titles), *rows = _cells(robustness)
    return Fitted(
        f"Under noise: accuracy in % on {robustness.rows:,} test rows, the same text for all; "
        "differences in points",
        ["noise, p", *titles],
        [Row([f"{noise} {p}", *figures]) for noise, p, *figures in rows],
        names=("noise, p",),
    )


def robustness_lines(result: RunResult) -> list[str]:
    """Return the section of the model card; empty if it was not measured."""
    robustness = result.robustness
    if robustness is None:
        return []
    head, *rows = _cells(robustness)
    lines = [" | ".join(cells) for cells in (head, ["---"] * len(head), *rows)]
    paired = " The difference is in points, its 95% interval paired over the rows."
    return [
        "## Under noise",
        "",
        f"Accuracy in % on the {robustness.rows:,} test rows, each word hit with probability p; "
        f"every model reads the same text.{paired if robustness.against else ''}",
        "",
        *(f"| {line} |" for line in lines),
        "",
    ]


def _cells(robustness: Robustness) -> list[list[str]]:
    """Return the titles, a row for the clean text, and one for each noise."""
    against, models = robustness.against, robustness.models
    # A single teacher needs no name.
    titles = [
        "teacher" if name == against and name != "teachers together" else name for name in models
    ]
    lead = [] if against is None else [f"student − {against.split()[0]} [95%]"]
    rows = [["noise", "p", *titles, *lead]]
    for score in robustness.scores:
        accuracies = [f"{100 * score.accuracy[name]:.2f}" for name in models]
        difference = [] if score.difference is None else [_points(score.difference)]
        rows.append([score.noise, f"{score.p:g}", *accuracies, *difference])
    return rows


def _points(found: Difference) -> str:
    return f"{100 * found.difference:+.2f} [{100 * found.low:+.2f}, {100 * found.high:+.2f}]"
