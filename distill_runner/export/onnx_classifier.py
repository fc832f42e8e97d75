"""Answers texts with an exported ONNX file; imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill_runner.export.description import TOKENIZER, Reading

# Rows of similar length read together: on a CPU padding costs more than small batches do.
_PART = 8


class OnnxClassifier:
    """An ONNX file with its tokenizer.

    Args:
        model: the ONNX file; tokenizer.json lies beside it.
        reading: how texts become inputs.
        threads: threads of one operation; 0 leaves the number to onnxruntime.
    """

    def __init__(self, model: Path, reading: Reading, *, threads: int = 0) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self._session: Any = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self._tokenizer: Any = Tokenizer.from_file(str(model.with_name(TOKENIZER)))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(
            reading.max_tokens, direction=reading.truncation_side.lower()
        )
        self._reading = reading

    def logits(self, texts: Sequence[str | tuple[str, str]]) -> np.ndarray:
        """Return the logits of texts or pairs. [rows, classes], float32."""
        encoded = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(encoded)), key=lambda at: len(encoded[at].ids))
        found = np.zeros((len(encoded), len(self._reading.classes)), dtype=np.float32)
        for start in range(0, len(order), _PART):
            rows = order[start : start + _PART]
            (found[rows],) = self._session.run(None, self._inputs([encoded[at] for at in rows]))
        return found

    def _inputs(self, encoded: Sequence[Any]) -> dict[str, np.ndarray]:
        """Return padded int64 inputs, each [rows, tokens]."""
        shape = len(encoded), max(1, *(len(one.ids) for one in encoded))
        found = {name: np.zeros(shape, dtype=np.int64) for name in self._reading.inputs}
        found["input_ids"][:] = self._reading.pad_id
        for row, one in enumerate(encoded):
            ids = one.ids or [self._reading.empty_id]
            found["input_ids"][row, : len(ids)] = ids
            found["attention_mask"][row, : len(ids)] = 1
            if "token_type_ids" in found:
                found["token_type_ids"][row, : len(one.type_ids)] = one.type_ids
        return found
