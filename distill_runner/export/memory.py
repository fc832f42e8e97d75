"""Measures the resident memory of one form of a student, in a process of its own.

    python -m distill_runner.export.memory < request

The process loads the form, answers the texts one by one and prints its peak in bytes. That of an
ONNX file imports neither torch nor transformers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill_runner.errors import DistillError
from distill_runner.results.typed_json import from_json, parse, to_json
from distill_runner.runtime.process_memory import peak_of_process

_Texts = Sequence[str | tuple[str, str]]
_PACKAGE = Path(__file__).parents[2]
# A library that starts threads of its own would add their stacks.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the process loads and answers.

    Attributes:
        run: the run folder.
        model: an ONNX file beside its tokenizer; None: the student in torch.
        folder: that of export.json, or of a cut model; None: the run's own student.
        texts: single texts, or pairs.
    """

    run: str
    model: str | None
    folder: str | None
    texts: tuple[tuple[str, ...], ...]


def measure_memory(request: Request) -> int:
    """Return the peak resident memory of a fresh process, in bytes.

    Raises:
        DistillError: the process failed.
    """
    path = os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "distill_runner.export.memory"],
        input=json.dumps(to_json(request)),
        capture_output=True,
        text=True,
        env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": path},
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise DistillError(f"The process that measures memory failed: {last}")
    return int(done.stdout.splitlines()[-1])


def _answering(request: Request) -> Callable[[_Texts], np.ndarray]:
    if request.model is not None:
        from distill_runner.export.description import read_description
        from distill_runner.export.onnx_classifier import OnnxClassifier

        assert request.folder is not None
        reading = read_description(Path(request.folder)).reading
        return OnnxClassifier(Path(request.model), reading, threads=1).logits
    from distill_runner.export.torch_forms import load_student

    folder = None if request.folder is None else Path(request.folder)
    return load_student(Path(request.run), cut=folder).logits


def _main() -> None:
    request = from_json(Request, parse(sys.stdin.read()))
    answer = _answering(request)
    for text in request.texts:
        answer([text[0] if len(text) == 1 else (text[0], text[1])])
    print(peak_of_process())


if __name__ == "__main__":
    _main()
