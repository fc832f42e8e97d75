"""Writes a student as an ONNX file: all its members and heads in one graph, and in int8.

Quantisation is dynamic: weights are stored as 8-bit integers, one scale for each column of a
matrix, and activations are rounded batch by batch. Weights use 7 of the 8 bits: a processor
without VNNI adds products in 16 bits, and with all 8 it would overflow and answer otherwise than
the processor on which the file was checked.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.errors import DistillError, Refused
from distill_runner.export.description import OPSET, Reading
from distill_runner.models.architecture import families
from distill_runner.models.learner import Learner
from distill_runner.tasks.base import Task

OUTPUT = "logits"  # [rows, classes], float32
_ROWS, _TOKENS = 2, 7  # of the example that the graph is traced with


class _Joint(nn.Module):
    """All members as one module: the logits of their joint prediction."""

    def __init__(self, learners: Sequence[Learner], task: Task) -> None:
        super().__init__()
        self.members = nn.ModuleList(learner.module for learner in learners)
        self._learners = tuple(learners)
        self._task = task

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Return logits in the data set's order of classes. [rows, classes]."""
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        each = [learner.logits(inputs) for learner in self._learners]
        return each[0] if len(each) == 1 else self._task.joint_logits(torch.stack(each))


def check_exportable(learners: Sequence[Learner]) -> None:
    """Refuse a student that one graph and one tokenizer cannot express.

    Raises:
        Refused: a member needs batches of texts of equal length, has no fast tokenizer, or reads
            other tokens than the first member.
    """
    for learner in learners:
        module = learner.module
        name = type(module).__name__
        if not families.fits(module, families.PADDING) or families.counts_ends(module):
            raise Refused(
                f"A {name} cannot be exported: its answers depend on the padding of a batch.",
                key="RUN",
                value=learner.name,
                rule="an architecture whose answers do not depend on padding, such as BERT",
            )
        if not learner.encoder.tokenizer.is_fast:
            raise Refused(
                f"The tokenizer of {learner.name} cannot be exported: it is written in Python.",
                key="RUN",
                value=type(learner.encoder.tokenizer).__name__,
                rule="a tokenizer that tokenizer.json can hold",
            )
        if learner.encoder.key != learners[0].encoder.key:
            raise Refused(
                f"{learners[0].name} and {learner.name} predict together and read other tokens.",
                key="RUN",
                value=[one.name for one in learners],
                rule="members with the same tokenizer, which share the inputs of one ONNX file",
            )


def write_onnx(learners: Sequence[Learner], task: Task, reading: Reading, target: Path) -> None:
    """Write the joint prediction of the members as ONNX; rows and tokens are dynamic axes.

    Raises:
        DistillError: the architecture has an operation that cannot be exported.
    """
    for learner in learners:
        learner.read_first_token_only()  # the same logits, with less to compute
    joint = _Joint(learners, task).eval()
    example = {
        name: torch.ones(_ROWS, _TOKENS, dtype=torch.long)
        if name != "token_type_ids"
        else torch.zeros(_ROWS, _TOKENS, dtype=torch.long)
        for name in reading.inputs
    }
    axes = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
    try:
        with _quiet(), torch.no_grad():
            torch.onnx.export(
                joint,
                kwargs=example,
                f=str(target),
                dynamo=True,
                opset_version=OPSET,
                input_names=list(reading.inputs),
                output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(example, axes),
                external_data=False,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        name = type(learners[0].module).__name__
        reason = str(error).strip().splitlines()[0][:200]
        raise DistillError(f"A {name} cannot be written as ONNX: {reason}") from error


def write_int8(source: Path, target: Path) -> None:
    """Quantise an ONNX file dynamically: embeddings and matrices in 8 bits."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    model = onnx.load(source)
    # The exporter notes the shapes of its example, which contradict those that onnxruntime infers.
    del model.graph.value_info[:]
    with _quiet():
        quantize_dynamic(
            model,
            target,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
            nodes_to_exclude=_stacked(model.graph),
        )


def _stacked(graph: Any) -> list[str]:
    """Return the products with stacks of matrices, one for each head, which have no int8 kernel."""
    ranks = {weight.name: len(weight.dims) for weight in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and any(ranks.get(name, 2) != 2 for name in node.input)
    ]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the reports of exporter and quantiser; their errors are raised."""
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
