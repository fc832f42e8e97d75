"""Exports the student of a finished run, checks every file on its validation rows and times it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from distill_runner.errors import DistillError
from distill_runner.export import cut_model, timing
from distill_runner.export.card import export_card
from distill_runner.export.checks import compare
from distill_runner.export.description import (
    INT8,
    ONNX,
    OPSET,
    TOKENIZER,
    ExportDescription,
    Reading,
    write_description,
)
from distill_runner.export.extra import PACKAGES
from distill_runner.export.graph import check_exportable, write_int8, write_onnx
from distill_runner.export.measured import CutFigures, Form
from distill_runner.export.memory import Request, measure_memory
from distill_runner.export.onnx_classifier import OnnxClassifier
from distill_runner.export.output import claim, default_folder, files_of
from distill_runner.export.reading import reading_of
from distill_runner.export.rows import (
    CheckRows,
    check_rows_of,
    learnt_texts,
    read_prepared,
    read_texts,
)
from distill_runner.export.script import SCRIPT, script_path
from distill_runner.export.torch_forms import load_members, load_student
from distill_runner.export.wanted import Wanted
from distill_runner.models.learner import Learner
from distill_runner.serving.finished_run import RunFolder, read_run
from distill_runner.serving.texts import Text

CUT, README, TORCH = "cut", "README.md", "torch"
_COMPARED = 1000  # of the texts that decided a cut
_MEMORY_TEXTS = 64  # answered by the process whose memory is measured

Say = Callable[[str], None]


@dataclass(frozen=True)
class Exported:
    """A finished export: its folder and its figures."""

    run: RunFolder
    folder: Path
    forms: tuple[Form, ...]
    rows: int
    cut: CutFigures | None


@dataclass(frozen=True)
class _Unmeasured:
    """A form that is written and not yet compared; `model` is an ONNX file, `cut` a folder."""

    name: str
    file: str | None
    size: int
    answer: timing.Answering
    model: Path | None
    folder: Path | None


def export(
    run_folder: Path,
    wanted: Wanted,
    *,
    output: Path | None,
    say: Say,
    memory: Callable[[Request], int] = measure_memory,
) -> Exported:
    """Export a run's student; the folder appears only once everything in it is checked.

    Args:
        run_folder: the run folder; its own files stay as they are.
        wanted: what to export.
        output: the folder to write; None: `export` in the run folder.
        say: receives a line for every step.
        memory: measures the memory of a form, in bytes.

    Raises:
        Refused: the run, its data or the output folder do not fit.
    """
    run = read_run(run_folder)
    members = load_members(run)
    check_exportable(members)
    task, prepared = read_prepared(run, say=say)
    rows = check_rows_of(run, task, prepared)
    deciding = _deciding(run, wanted, lambda: learnt_texts(prepared))
    target = output or default_folder(run)
    with claim(target, run) as folder:
        writing = _Writing(run, wanted, rows, folder, say)
        forms = list(writing.whole(members))
        cut = None
        if deciding is not None:
            cut = writing.cut_vocabulary(members, deciding)
            forms += writing.cut_forms()
        measured = writing.measure(forms, memory)
        writing.finish(members, measured, cut)
    return Exported(run, target, tuple(measured), len(rows.texts), cut)


def _deciding(
    run: RunFolder, wanted: Wanted, train: Callable[[], tuple[Text, ...]]
) -> tuple[Text, ...] | None:
    if wanted.vocabulary is None:
        return None
    if wanted.vocabulary == "train":
        return train()
    return read_texts(wanted.vocabulary, run.result.data.texts)


class _Writing:
    """An export in progress.

    Args:
        rows: the validation rows.
        folder: where everything is written until it is complete.
    """

    def __init__(
        self, run: RunFolder, wanted: Wanted, rows: CheckRows, folder: Path, say: Say
    ) -> None:
        self._run = run
        self._wanted = wanted
        self._rows = rows
        self._folder = folder
        self._say = say

    def whole(self, members: Sequence[Learner]) -> Iterator[_Unmeasured]:
        """Write the files of the student as it is, and yield its forms, torch first."""
        student = load_student(self._run.folder)
        size = _weights(self._run.student_folders)
        yield _Unmeasured(TORCH, None, size, student.logits, None, None)
        yield from self._onnx_forms(members, self._folder, "")

    def cut_vocabulary(self, members: Sequence[Learner], texts: tuple[Text, ...]) -> CutFigures:
        """Write the student with a smaller vocabulary, and compare it on the texts it was cut to.

        Args:
            members: as the run left them; changed.
            texts: those that decide.

        Raises:
            DistillError: the smaller tokenizer reads them otherwise.
        """
        self._say(f"cutting the vocabulary to {len(texts):,} texts")
        run = cut_model.in_cut_folder(self._run, self._folder / CUT)
        unknown = cut_model.unknown_tokens(members[0], self._rows.texts)
        found = cut_model.write_cut(members, texts, run, at_least=self._wanted.at_least)
        whole, smaller = load_members(self._run)[0], load_members(run)[0]
        some = texts[:_COMPARED]
        if self._wanted.at_least == 1 and cut_model.with_other_tokens(whole, smaller, some):
            raise DistillError(
                f"The tokenizer of {whole.name} cannot be cut: afterwards it divides the texts "
                "that decided the cut into other tokens.\n  try:  leave --vocabulary out"
            )
        before, after = (
            load_student(self._run.folder, cut=cut).logits(some) for cut in (None, run.cut)
        )
        return CutFigures(
            before=found.before,
            after=len(found.kept),
            decided=len(texts),
            at_least=self._wanted.at_least,
            compared=len(some),
            largest=float(np.abs(before - after).max()),
            other_tokens=cut_model.with_other_tokens(whole, smaller, self._rows.texts),
            rows=len(self._rows.texts),
            unknown_before=unknown,
            unknown_after=cut_model.unknown_tokens(smaller, self._rows.texts),
        )

    def cut_forms(self) -> Iterator[_Unmeasured]:
        """Yield the forms with the smaller vocabulary."""
        folder = self._folder / CUT
        run = cut_model.in_cut_folder(self._run, folder)
        student = load_student(self._run.folder, cut=folder)
        size = _weights(run.student_folders)
        yield _Unmeasured(CUT, CUT, size, student.logits, None, folder)
        yield from self._onnx_forms(load_members(run), folder, f"{CUT} ")

    def _onnx_forms(
        self, members: Sequence[Learner], folder: Path, prefix: str
    ) -> Iterator[_Unmeasured]:
        """Write the wanted ONNX files of a student into a folder, and yield them."""
        if not (self._wanted.onnx or self._wanted.int8):
            return
        reading = reading_of(self._run.result, members[0].encoder)
        self._say(f"writing {folder.name if prefix else ''}{'/' if prefix else ''}{ONNX}")
        _write_tokenizer(members[0], folder)
        write_onnx(members, self._rows.task, reading, folder / ONNX)
        if self._wanted.int8:
            write_int8(folder / ONNX, folder / INT8)
        if not self._wanted.onnx:
            (folder / ONNX).unlink()
        # The process that measures memory reads it; complete at the end.
        write_description(folder, self._description(reading, Path()))
        for label, file in (("ONNX", ONNX), ("int8", INT8)):
            path = folder / file
            if path.is_file():
                answer = OnnxClassifier(path, reading, threads=1).logits
                name = path.relative_to(self._folder).as_posix()
                size = path.stat().st_size
                yield _Unmeasured(f"{prefix}{label}", name, size, answer, path, folder)

    def measure(self, forms: Sequence[_Unmeasured], memory: Callable[[Request], int]) -> list[Form]:
        """Compare all forms with the first, time them, and measure their memory."""
        texts = self._rows.texts
        self._say(f"checking them on {len(texts):,} validation rows")
        logits = {form.name: form.answer(texts) for form in forms}
        own = logits[forms[0].name]
        self._say("timing them in turns, and measuring their memory")
        times = timing.measure({form.name: form.answer for form in forms}, texts)
        return [
            Form(
                form.name,
                form.file,
                form.size,
                compare(logits[form.name], own, self._rows),
                times[form.name],
                memory(self._request(form)),
            )
            for form in forms
        ]

    def _request(self, form: _Unmeasured) -> Request:
        texts = self._rows.texts[:_MEMORY_TEXTS]
        return Request(
            run=str(self._run.folder),
            model=None if form.model is None else str(form.model),
            folder=None if form.folder is None else str(form.folder),
            texts=tuple((text,) if isinstance(text, str) else text for text in texts),
        )

    def finish(
        self, members: Sequence[Learner], forms: Sequence[Form], cut: CutFigures | None
    ) -> None:
        """Write the card, the script that answers texts, and the descriptions."""
        folder, result = self._folder, self._run.result
        if self._wanted.onnx or self._wanted.int8:
            shutil.copyfile(script_path(), folder / SCRIPT)
        card = export_card(result, forms, len(self._rows.texts), cut, script=SCRIPT)
        (folder / README).write_text(card, encoding="utf-8")
        reading = reading_of(result, members[0].encoder)
        if cut is not None:
            smaller = load_members(cut_model.in_cut_folder(self._run, folder / CUT))[0]
            within = self._description(reading_of(result, smaller.encoder), folder / CUT)
            write_description(folder / CUT, within)
        write_description(folder, self._description(reading, folder))

    def _description(self, reading: Reading, folder: Path) -> ExportDescription:
        """Describe a folder's export; the empty path has no files yet."""
        result = self._run.result
        return ExportDescription(
            program="distill-run",
            run=result.key,
            student=result.student.name,
            method=result.method,
            opset=OPSET,
            reading=reading,
            versions=_versions(onnx=self._wanted.onnx or self._wanted.int8),
            files={} if folder == Path() else files_of(folder),
        )


def _versions(*, onnx: bool) -> Mapping[str, str]:
    return {name: version(name) for name in ("torch", "transformers", *(PACKAGES if onnx else ()))}


def _weights(folders: Sequence[Path]) -> int:
    """Return the bytes of the folders' weights."""
    return sum(path.stat().st_size for one in folders for path in one.glob("*.safetensors"))


def _write_tokenizer(learner: Learner, folder: Path) -> None:
    """Write the tokenizer without the limit and the padding of its last call."""
    backend = learner.encoder.tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.save(str(folder / TOKENIZER))
