"""`distill cascade`: the student answers where it is sure, and else the teachers do."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from distill_runner.serving.cascade import Cascade, CascadeScore, Share


def cascade(
    run: Annotated[Path, typer.Argument(help="The folder of a finished run with teachers.")],
    lose: Annotated[
        float, typer.Option(help="Points of accuracy that it may lose against the teachers.")
    ] = 0.5,
) -> None:
    """Let the student answer where it is sure, and the teachers elsewhere.

    The threshold is chosen on the run's validation rows, so that with 95% confidence the cascade
    loses at most so many points of accuracy against the teachers alone.
    """
    from distill_runner.jobs.output_folder import CASCADE
    from distill_runner.serving.cascade import make_cascade
    from distill_runner.serving.finished_run import read_run
    from distill_runner.storage.store import write_json

    folder = read_run(run)
    found = make_cascade(folder, lose=lose)
    write_json(run / CASCADE, vars(found))
    for line in lines_of(found):
        print(line)
    print(f"\nWritten to {run / CASCADE}. Next:")
    columns = [word for name in folder.result.data.texts for word in ("--text", name)]
    words = ["distill", "predict", str(run), "FILE", *columns, "--cascade"]
    print(f"  {shlex.join(words)}")


def lines_of(found: Cascade) -> list[str]:
    """Return the cascade's threshold, promise and scores as lines to print."""
    scores = {"validation": found.validation, "test": found.test}
    lines = [
        f"The student answers where its probability is {found.threshold:.4f} or more.",
        f"Promise: at most {found.lose:g} points of accuracy below the teachers alone,",
        f"with {100 * found.confidence:g}% confidence.",
    ]
    for split, score in scores.items():
        if score is not None:
            lines += ["", *_lines_of_score(split, score)]
    return lines


def _lines_of_score(split: str, score: CascadeScore) -> list[str]:
    chosen = ", on which the threshold was chosen" if split == "validation" else ""
    times = "" if score.milliseconds is None else f"; {score.milliseconds:.1f} ms a text"
    return [
        f"{split}, {score.rows:,} rows{chosen}:",
        f"  answered by the student  {100 * score.answered_by_student:.1f}%{times}",
        f"  accuracy of the cascade  {_percent(score.accuracy)}",
        f"  of the teachers          {_percent(score.accuracy_of_teachers)}",
        f"  of the student           {_percent(score.accuracy_of_student)}",
        f"  cascade − teachers       {_points(score.gain_over_teachers)}",
    ]


def _percent(share: Share) -> str:
    return f"{100 * share.value:.2f} [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _points(share: Share) -> str:
    return f"{100 * share.value:+.2f} [{100 * share.low:+.2f}, {100 * share.high:+.2f}]"
