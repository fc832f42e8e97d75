"""Says what a check has found in a file, in lines of at most 80 columns where texts allow it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from distill_runner.config.schema import TaskKind
from distill_runner.console.names import format_count, join_names
from distill_runner.console.printable import on_one_line
from distill_runner.data.readers.label_sets import written_set
from distill_runner.serving.data_check import Checked
from distill_runner.serving.doubtful_labels import Judged
from distill_runner.serving.labelled_rows import Columns, Label
from distill_runner.serving.table_reader import Source

_SHOWN = 20  # classes
_NAME, _TEXT = 30, 44  # characters
_FEW = 10  # rows of a class


def check_lines(
    checked: Checked, source: Source, columns: Columns, max_tokens: int
) -> Iterator[str]:
    """Yield the lines about a file.

    Args:
        checked: what was found.
        source: the file.
        columns: of the file.
        max_tokens: the limit that a training would have.
    """
    label = f", labels in {columns.label}" if columns.label else ", no labels"
    rows = format_count(checked.rows, "row")
    yield f"{source.name}: {rows}, texts in {join_names(columns.texts)}{label}"
    yield ""
    if checked.labels:
        yield from _label_lines(checked, columns)
        yield ""
    yield from _row_lines(checked, columns)
    yield from _length_lines(checked, max_tokens)


def _label_lines(checked: Checked, columns: Columns) -> Iterator[str]:
    if columns.task is TaskKind.regression:
        low, mean, high, deviation = checked.spread
        yield f"Scores from {low:g} to {high:g}; mean {mean:.4g}, deviation {deviation:.4g}."
        yield f"Always answering the mean has a squared error of {deviation**2:.4g}."
        return
    names, total = checked.names, sum(checked.labels.values())
    what = "label" if columns.task is TaskKind.multi_label else "class"
    yield f"{what:<{_NAME}}  {'rows':>10}   share"
    for name, count in names.most_common(_SHOWN):
        yield f"{_short(name, _NAME):<{_NAME}}  {count:>10,}  {_percent(count, total):>6}"
    if len(names) > _SHOWN:
        yield f"and {len(names) - _SHOWN:,} more"
    most, share = checked.majority
    yield f"Always answering {_written(most)} is right in {100 * share:.1f}% of the rows."
    yield from _label_warnings(checked, columns)


def _label_warnings(checked: Checked, columns: Columns) -> Iterator[str]:
    names, total = checked.names, sum(checked.labels.values())
    if len(names) > max(_SHOWN, total // 2):
        yield f"! {len(names):,} labels in {total:,} rows look like scores or texts, not classes."
        return
    if len(names) == 1:
        yield "! There is only one label: nothing can be learnt."
    rare = [name for name, count in names.items() if count < _FEW]
    if rare:
        some = join_names([_short(name, _NAME) for name in sorted(rare)[:3]])
        more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
        yield f"! Fewer than {_FEW} rows: {some}{more}."
    alike = defaultdict(list)
    for name in names:
        alike[" ".join(name.casefold().split())].append(name)
    for same in alike.values():
        if len(same) > 1 and columns.task is TaskKind.classification:
            yield f"! {same[0]!r} and {same[1]!r} differ only in case or spaces."


def _row_lines(checked: Checked, columns: Columns) -> Iterator[str]:
    yield _count("Rows without a text", checked.without_text, "a run refuses them")
    if columns.label is not None:
        yield _count("Rows without a label", checked.without_label, "a run refuses them")
    yield _count("Rows that repeat a text", checked.doubles, "a run keeps one of each")
    yield _count("Rows of a text with two labels", checked.both_labels, "a run drops them")
    for one in checked.conflicts:
        first, second = (_written(label) for label in one.labels)
        yield f"  {first} in row {one.rows[0]:,}, {second} in row {one.rows[1]:,}:"
        yield f"    {_short(one.text, 74)}"
    if checked.overlap is not None:
        what = f"Rows also in {_short(checked.overlap.name, 18)}"
        yield _count(what, checked.overlap.rows, "a run does not train on them")
        if new := checked.overlap.new:
            yield f"! Only in {checked.overlap.name}: {join_names(new[:5])}."


def _length_lines(checked: Checked, max_tokens: int) -> Iterator[str]:
    cut = "a run cuts them (dataset.max_tokens)"
    if checked.counts is None:
        yield _count(f"Texts of over {max_tokens} words", checked.long, cut)
        yield "Name a tokenizer to count tokens and unknown words: --model FOLDER or id"
        return
    counts = checked.counts
    yield _count(f"Texts of over {max_tokens} tokens", counts.cut, cut)
    share = _percent(counts.unknown, counts.tokens)
    yield _count("Unknown tokens", counts.unknown, f"{share} of {counts.tokens:,}", always=True)


def judged_lines(judged: Judged) -> Iterator[str]:
    """Yield the rows whose label is least likely, and whether the model was trained on them."""
    yield f"Least likely labels, by {judged.by}, of {format_count(judged.rows, 'row')}:"
    if judged.trained is None:
        yield "Whether the run was trained on these texts is unknown: its file is not here."
    elif judged.trained:
        yield (
            f"{format_count(judged.trained, 'text')} may be among the run's training rows (*). "
            "There the check is not held out, and finds too little."
        )
    else:
        yield "None of these texts was among the run's training rows: the check is held out."
    if judged.unknown:
        yield f"{format_count(judged.unknown, 'row')} with a label that the run does not know."
    yield ""
    yield f"{'row':>9}   {'likely':>6}  {'label':<10}  {'answer':<10}  text"
    for one in judged.doubtful:
        names = f"{_short(one.label, 10):<10}  {_short(one.answer, 10):<10}"
        mark = "*" if one.trained else " "
        yield f"{one.row:>9,}{mark}  {one.likelihood:>6.3f}  {names}  {_short(one.text, 35)}"


def _count(what: str, number: int, then: str, *, always: bool = False) -> str:
    line = f"{what:<32}{number:>8,}"
    return f"{line}  {then}" if number or always else line


def _percent(count: int, total: int) -> str:
    return f"{100 * count / max(1, total):.1f}%"


def _written(label: Label) -> str:
    if isinstance(label, tuple):
        return _short(written_set(label) or "no label", _TEXT)
    return _short(str(label), _TEXT)


def _short(text: str, most: int) -> str:
    line = " ".join(on_one_line(text.strip()).replace("\\n", " ").split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
