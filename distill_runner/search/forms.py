"""Writes a student in every form it can be deployed in, and answers texts with each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from distill_runner.config.schema import Frontier
from distill_runner.errors import Refused
from distill_runner.export.cut_model import write_cut
from distill_runner.export.description import INT8, ONNX, TOKENIZER, Reading
from distill_runner.export.graph import check_exportable, write_int8, write_onnx
from distill_runner.export.onnx_classifier import OnnxClassifier
from distill_runner.export.reading import describe_reading
from distill_runner.export.script import script_path
from distill_runner.export.timing import Answering
from distill_runner.export.torch_forms import load_plain
from distill_runner.export.wanted import Wanted
from distill_runner.models.learner import Learner
from distill_runner.search.points import TORCH
from distill_runner.serving.student import Predictor
from distill_runner.serving.texts import Text
from distill_runner.tasks.base import Task

_CUT, _CARD = "cut", "README.md"


@dataclass(frozen=True)
class StudentFolders:
    """A student on disk, trained or not, and how it reads texts.

    Attributes:
        folders: its model folder, or those of its members.
        names: of each member, for messages.
        pairs: whether it reads pairs of texts.
        bf16, first_token_only, leave_padding_out: how torch computes.
    """

    folders: tuple[Path, ...]
    names: tuple[str, ...]
    task: Task
    classes: tuple[str, ...]
    max_tokens: int
    pairs: bool
    bf16: bool
    first_token_only: bool
    leave_padding_out: bool

    def members(self) -> list[Learner]:
        """Load the members, without any shortcut of the forward pass."""
        return load_plain(
            dict(zip(self.names, self.folders, strict=True)),
            task=self.task,
            classes=self.classes,
            max_tokens=self.max_tokens,
            key="student.model",
        )

    def in_torch(self) -> Predictor:
        """Load the student as `distill_runner.load` does, on the CPU."""
        members = self.members()
        for member in members:
            if self.first_token_only:
                member.read_first_token_only()
            if self.leave_padding_out:
                member.leave_padding_out()
        return Predictor(
            members,
            task=self.task,
            classes=self.classes,
            pairs=self.pairs,
            device=torch.device("cpu"),
            bf16=self.bf16,
        )


@dataclass(frozen=True)
class Form:
    """A student in one form.

    Attributes:
        name: as in the table of `distill export`.
        size: bytes of all files that answering needs.
        load: reads it, and returns what gives the logits of texts.
    """

    name: str
    size: int
    load: Callable[[], Answering]


def write_forms(
    student: StudentFolders, wanted: Frontier, texts: Callable[[], Sequence[Text]], folder: Path
) -> list[Form]:
    """Write a student's forms, and return them: torch, ONNX, int8, and the same with a cut.

    Args:
        student: as a run or an untrained model left it.
        wanted: which forms to write.
        texts: gives the texts that a cut of the vocabulary keeps.
        folder: a new folder for the files.

    Raises:
        Refused: the student cannot be written in one of them.
    """
    folder.mkdir(parents=True)
    return list(_uncut_and_cut(student, wanted, texts, folder))


def _uncut_and_cut(
    student: StudentFolders, wanted: Frontier, texts: Callable[[], Sequence[Text]], folder: Path
) -> Iterator[Form]:
    yield from _write(student, wanted, folder, "")
    if not wanted.vocabulary_cut:
        return
    cut = folder / _CUT
    folders = tuple(cut / name for name in student.names) if len(student.names) > 1 else (cut,)
    members = student.members()
    try:
        write_cut(members, texts(), folders, classes=student.classes, at_least=1)
    except Refused as refused:
        raise _without(refused, "frontier.vocabulary_cut") from refused
    yield from _write(replace(student, folders=folders), wanted, cut, f"{_CUT} ")


def _write(student: StudentFolders, wanted: Frontier, folder: Path, prefix: str) -> Iterator[Form]:
    """Yield the torch form and the ONNX forms of a student, whose names get the prefix."""
    # The files as they are before ONNX files join them in the same folder.
    size = sum(map(_size_of, student.folders))
    yield Form(prefix.strip() or TORCH, size, lambda: student.in_torch().logits)
    if not (wanted.onnx or wanted.int8):
        return
    members = student.members()
    try:
        check_exportable(members)
    except Refused as refused:
        raise _without(refused, "frontier.onnx", "frontier.int8") from refused
    reading = describe_reading(
        members[0].encoder,
        task=student.task.rules.kind.value,
        classes=student.classes,
        pairs=student.pairs,
    )
    backend = members[0].encoder.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(folder / TOKENIZER))
    write_onnx(members, student.task, reading, folder / ONNX)
    write_int8(folder / ONNX, folder / INT8)
    for name, file, is_wanted in (("ONNX", ONNX, wanted.onnx), ("int8", INT8, wanted.int8)):
        if is_wanted:
            needed = (folder / file, folder / TOKENIZER, script_path())
            size = sum(path.stat().st_size for path in needed)
            yield Form(f"{prefix}{name}", size, partial(_open_onnx, folder / file, reading))


def _open_onnx(model: Path, reading: Reading) -> Answering:
    return OnnxClassifier(model, reading, threads=1).logits


def _size_of(folder: Path) -> int:
    """Return the bytes of a model folder without its card."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != _CARD)
    return sum(path.stat().st_size for path in files)


def _without(refused: Refused, *keys: str) -> Refused:
    """Return a refusal of a form as one of the search's."""
    return Refused(
        refused.what,
        key=keys[0],
        value=True,
        rule=refused.rule,
        way_out=" ".join(f"{key}=false" for key in keys),
    )


def wanted_export(form: str) -> Wanted | None:
    """Return what `distill export` writes for a form; None for the student as it is."""
    if form == TORCH:
        return None
    return Wanted(
        onnx=form.endswith("ONNX"),
        int8=form.endswith("int8"),
        vocabulary="train" if form.startswith(_CUT) else None,
    )
