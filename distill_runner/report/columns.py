"""Which figures a table has beside accuracy: the named metrics, and the extra splits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_USUAL_SPLITS = ("validation", "test", "selection_on_validation")
_UNBALANCED = 0.6  # share of the largest class from which accuracy needs it beside it

Column = tuple[str, str]  # split, metric


def columns_of(results: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """By title, the figures that any of these finished runs has of its own."""
    found: dict[str, Column] = {}
    for result in results:
        found |= {f"{metric} (test)": ("test", metric) for metric in own_metrics(result)}
        for split in result["metrics"]:
            if split not in _USUAL_SPLITS:
                found[split] = (split, headline(result))
    return found


def headline(result: Mapping[str, Any]) -> str:
    """What a finished run's models are compared by: `accuracy`, of scores a correlation."""
    return str(result.get("headline", "accuracy"))


def own_metrics(result: Mapping[str, Any]) -> list[str]:
    """The metrics of a finished run that have columns of their own."""
    without = ("accuracy", headline(result))  # the headline has columns of its own
    return [metric for metric in result.get("scored_by", ()) if metric not in without]


def judged_by(result: Mapping[str, Any]) -> str:
    """The metric that comes first: the headline's, or one that has columns of its own."""
    first = [metric for metric in result.get("scored_by", ())[:1] if metric in own_metrics(result)]
    return first[0] if first else headline(result)


def gained(result: Mapping[str, Any], column: Column) -> float | None:
    """The lead in points over the same student without a teacher; None where one has no figure."""
    baseline = result.get("baseline")
    ours = figure(result.get("metrics", {}), column)
    theirs = figure(baseline["metrics"], column) if baseline else None
    return None if ours is None or theirs is None else ours - theirs


def broken_off(result: Mapping[str, Any]) -> str | None:
    """What did not take place because a chain could not go on."""
    found = result.get("broken_off")
    if not found:
        return None
    return (
        f"THE CHAIN ENDED before {found['before']}: {found['because']} "
        f"{found['kept']} is the student."
    )


def learnt_from(result: Mapping[str, Any]) -> str | None:
    """How many training rows a published figure has behind it beside ours, where that is told."""
    theirs = (result.get("published") or {}).get("train_rows")
    rows = result.get("data", {}).get("rows", {})
    if theirs is None or "train" not in rows:
        return None
    held = f", {rows['test']:,} of theirs are our test rows" if rows.get("test") else ""
    return f"theirs learnt from {theirs:,} training rows, ours from {rows['train']:,}{held}"


def gain_or_difference(results: Iterable[Mapping[str, Any]]) -> str:
    """What the lead over the student without a teacher is called: no gain over fewer steps."""
    fewer = any((one.get("baseline") or {}).get("fewer_steps") for one in results)
    return "difference" if fewer else "gain"


def figure(metrics: Mapping[str, Any], column: Column) -> float | None:
    """In %; None where the model was not scored so."""
    split, metric = column
    found: float | None = (metrics.get(split) or {}).get(metric)
    return None if found is None else 100 * found


def shown(metrics: Mapping[str, Any], column: Column) -> str:
    """A table's cell."""
    found = figure(metrics, column)
    return "–" if found is None else f"{found:.2f}"


def notes(result: Mapping[str, Any]) -> list[str]:
    """What must stand beside the figures on test for them to be read right."""
    test = result["metrics"].get("test")
    if not test:
        return []
    lines = []
    if test.get("majority", 0) > _UNBALANCED:
        share = f"{100 * test['majority']:.2f}"
        lines.append(f"Always answering the largest class has an accuracy of {share} on test.")
    if "questions" in test:
        all_of_them, without = test["questions"], test["without_positive"]
        lines.append(
            f"Ranked: {all_of_them - without:,} of the {all_of_them:,} groups of test rows; "
            f"{without:,} hold nothing to be found and are left out."
        )
    return lines
