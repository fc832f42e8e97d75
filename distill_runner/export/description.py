"""Describes an export: export.json, which the ONNX files are read with. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from distill_runner.errors import DistillError
from distill_runner.results.files import FileEntry
from distill_runner.results.typed_json import Malformed, from_json, parse, to_json
from distill_runner.storage.store import write_json

DESCRIPTION, TOKENIZER = "export.json", "tokenizer.json"
ONNX, INT8 = "model.onnx", "model_int8.onnx"
OPSET = 18


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How texts become the inputs of an ONNX file, and its outputs answers."""

    task: Annotated[str, "`classification`, `multi_label` or `regression`"]
    classes: Annotated[tuple[str, ...], "in the order of the logits; one name for scores"]
    pairs: Annotated[bool, "whether a row is two texts"]
    max_tokens: Annotated[int, "longer texts are cut to this many tokens"]
    truncation_side: Annotated[str, "the side that is cut: `right` or `left`"]
    inputs: Annotated[tuple[str, ...], "of the ONNX file, each int64 [rows, tokens]"]
    pad_id: Annotated[int, "token id that fills a batch; masked"]
    empty_id: Annotated[int, "the one token of a text that has none"]
    temperature: Annotated[
        tuple[float, ...], "divides the logits before they become probabilities: one, or one each"
    ]


@dataclass(frozen=True, kw_only=True)
class ExportDescription:
    """The content of export.json."""

    program: Annotated[Literal["distill-run"], "the program that the folder belongs to"]
    run: Annotated[str, "`key` of the run's result.json"]
    student: Annotated[str, "its name"]
    method: Annotated[str, "name of the method"]
    opset: Annotated[int, "version of the ONNX operators"]
    reading: Annotated[Reading, "inputs and outputs of the ONNX files"]
    versions: Annotated[Mapping[str, str], "packages that wrote the files"]
    files: Annotated[Mapping[str, FileEntry], "every other file, by path inside the folder"]


def write_description(folder: Path, description: ExportDescription) -> None:
    """Write export.json, atomically."""
    write_json(folder / DESCRIPTION, to_json(description))


def read_description(folder: Path) -> ExportDescription:
    """Read export.json.

    Raises:
        DistillError: it is missing, damaged, or of another program.
    """
    path = folder / DESCRIPTION
    try:
        content: Any = parse(path.read_bytes())
        return from_json(ExportDescription, content)
    except (FileNotFoundError, NotADirectoryError):
        raise DistillError(f"{folder} holds no {DESCRIPTION}.") from None
    except Malformed as malformed:
        raise DistillError(f"{path} is damaged: {malformed}.") from malformed
