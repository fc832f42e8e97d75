"""Describes how a student's texts become the inputs of an ONNX file."""

from __future__ import annotations

from distill_runner.data.encoding import Encoder
from distill_runner.export.description import Reading
from distill_runner.results.calibration import STUDENT
from distill_runner.results.schema import RunResult
from distill_runner.serving.student import temperatures_of


def reading_of(result: RunResult, encoder: Encoder) -> Reading:
    """Describe the inputs and the outputs of a run's student, read with this encoder."""
    tokenizer, pairs = encoder.tokenizer, len(result.data.texts) == 2
    columns = encoder.columns(pairs)
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.pad_token_id
    return Reading(
        task=result.data.task,
        classes=result.data.classes,
        pairs=pairs,
        max_tokens=result.data.max_tokens,
        truncation_side=tokenizer.truncation_side,
        inputs=("input_ids", "attention_mask", *columns[1:]),
        pad_id=tokenizer.pad_token_id,
        empty_id=end,
        temperature=temperatures_of(result, STUDENT),
    )
