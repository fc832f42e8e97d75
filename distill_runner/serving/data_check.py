"""Looks at a labelled file before anything is trained: labels, doubles, lengths, unknown words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, pstdev

from distill_runner.config.schema import TaskKind
from distill_runner.data.encoding import Encoder
from distill_runner.evaluation.text_counts import TextCounts, count_texts
from distill_runner.serving.labelled_rows import (
    Columns,
    Label,
    LabelledRow,
    digest_texts,
    read_rows,
)
from distill_runner.serving.table_reader import Source, check_columns, survey

_EXAMPLES = 3


@dataclass(frozen=True)
class Conflict:
    """A text that occurs with two labels, in the rows of these numbers."""

    text: str
    rows: tuple[int, int]
    labels: tuple[Label, Label]


@dataclass(frozen=True)
class Overlap:
    """What a file has in common with its test file.

    Args:
        name: of the test file.
        rows: rows of the file whose text is in the test file too.
        new: classes or labels that only the test file has.
    """

    name: str
    rows: int
    new: tuple[str, ...]


@dataclass(frozen=True)
class Checked:
    """What a file holds.

    Args:
        rows: number of rows.
        without_text, without_label: rows that lack one.
        labels: the rows of each class, score or set; of the rows with a text.
        doubles: rows beyond the first of each text, among texts with a single label.
        both_labels: rows whose text has two labels or more.
        conflicts: the first few of these texts.
        overlap: with the test file, if one was named.
        counts: of the texts' tokens; None: no tokenizer was named.
        long: texts of more words than the limit of tokens.
        sha256: of the file.
    """

    rows: int
    without_text: int
    without_label: int
    labels: Mapping[Label, int]
    doubles: int
    both_labels: int
    conflicts: Sequence[Conflict]
    overlap: Overlap | None
    counts: TextCounts | None
    long: int
    sha256: str

    @property
    def majority(self) -> tuple[Label, float]:
        """The most frequent class or set, and the accuracy of always answering it, 0..1."""
        label, count = max(self.labels.items(), key=lambda item: item[1])
        return label, count / sum(self.labels.values())

    @property
    def names(self) -> Counter[str]:
        """The rows of each class, or of each label in the sets."""
        return _names(self.labels)

    @property
    def spread(self) -> tuple[float, float, float, float]:
        """The smallest, mean and largest score, and the standard deviation."""
        scores = [float(str(label)) for label, count in self.labels.items() for _ in range(count)]
        return min(scores), fmean(scores), max(scores), pstdev(scores)


def check_file(
    source: Source,
    columns: Columns,
    *,
    test: Source | None,
    encoder: Encoder | None,
    max_tokens: int,
) -> Checked:
    """Read a file, and count what a training would stumble over.

    Texts are the same if they differ only in case and punctuation, as for a split.

    Args:
        source: the labelled rows.
        columns: of both files.
        test: a file whose texts should not be among them.
        encoder: counts tokens; None: only words are counted.
        max_tokens: the limit that a training would have.

    Raises:
        Refused: a file is malformed, or lacks a column.
    """
    held_out = None if test is None else _read(test, columns)
    found = _read(source, columns, encoder=encoder, max_tokens=max_tokens)
    overlap = None
    if test is not None and held_out is not None:
        common = found.texts.keys() & held_out.texts.keys()
        scores = columns.task is TaskKind.regression
        new = set() if scores else _names(held_out.labels).keys() - _names(found.labels).keys()
        overlap = Overlap(
            test.name, sum(found.texts[key].count for key in common), tuple(sorted(new))
        )
    both = [text for text in found.texts.values() if text.both]
    both_labels = sum(text.count for text in both)
    with_text = found.rows - found.without_text
    return Checked(
        rows=found.rows,
        without_text=found.without_text,
        without_label=found.without_label,
        labels=found.labels,
        doubles=with_text - both_labels - (len(found.texts) - len(both)),
        both_labels=both_labels,
        conflicts=found.conflicts,
        overlap=overlap,
        counts=None if encoder is None else found.counts,
        long=found.long,
        sha256=found.sha256,
    )


@dataclass
class _Text:
    """A text's first row and its label, how often it occurs, and whether with other labels."""

    row: int
    label: Label | None
    count: int = 0
    both: bool = False


@dataclass
class _Found:
    """What has been read so far; of a text only its digest is kept."""

    sha256: str
    rows: int = 0
    without_text: int = 0
    without_label: int = 0
    long: int = 0
    counts: TextCounts = field(default_factory=TextCounts)
    labels: Counter[Label] = field(default_factory=Counter)
    texts: dict[bytes, _Text] = field(default_factory=dict)
    conflicts: list[Conflict] = field(default_factory=list)

    def take(self, row: LabelledRow, texts: tuple[str, ...]) -> None:
        """Compare a row that has texts with those before it."""
        if row.label is not None:
            self.labels[row.label] += 1
        first = self.texts.setdefault(digest_texts(texts), _Text(row.number, row.label))
        first.count += 1
        if first.label == row.label or first.label is None or row.label is None:
            return
        if not first.both and len(self.conflicts) < _EXAMPLES:
            both = (first.label, row.label)
            self.conflicts.append(Conflict(" / ".join(texts), (first.row, row.number), both))
        first.both = True


def _read(
    source: Source, columns: Columns, *, encoder: Encoder | None = None, max_tokens: int = 0
) -> _Found:
    surveyed = survey(source, columns.texts)
    if columns.label is not None:
        check_columns(source, [columns.label], surveyed.names, key="--label")
    found = _Found(surveyed.sha256)
    for chunk in read_rows(source, columns):
        texts = [row.texts for row in chunk if row.texts is not None]
        found.rows += len(chunk)
        found.without_text += len(chunk) - len(texts)
        found.without_label += sum(row.label is None for row in chunk)
        found.long += sum(len(" ".join(one).split()) > max_tokens for one in texts)
        for row in chunk:
            if row.texts is not None:
                found.take(row, row.texts)
        if encoder is not None and texts:
            firsts, *seconds = zip(*texts, strict=True)
            found.counts += count_texts(firsts, seconds[0] if seconds else None, encoder)
    return found


def _names(labels: Mapping[Label, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for label, count in labels.items():
        for name in label if isinstance(label, tuple) else (str(label),):
            found[name] += count
    return found
