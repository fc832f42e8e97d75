"""Answers texts with a student that `distill export` wrote, as JSON lines.

    python serve_onnx.py "a good film" "a bad film"
    python serve_onnx.py --model model_int8.onnx < texts.txt

Needs onnxruntime, tokenizers and numpy. The folder is that of this script, unless --folder names
another. A student of pairs takes two arguments for each pair, or lines with a tab between the two.
"""

import argparse
import json
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

BATCH = 64  # rows read at a time; those of similar length are answered together,
PART = 8  # so many at once: padding costs more than small batches do


class Classifier:
    """An ONNX file with its tokenizer; export.json says how to read texts."""

    def __init__(self, model: Path, threads: int = 0) -> None:
        self.reading = json.loads(model.with_name("export.json").read_text("utf-8"))["reading"]
        self.classes, self.task = self.reading["classes"], self.reading["task"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(
            str(model), options, providers=["CPUExecutionProvider"]
        )
        self.tokenizer = Tokenizer.from_file(str(model.with_name("tokenizer.json")))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(
            self.reading["max_tokens"], direction=self.reading["truncation_side"]
        )

    def inputs(self, encoded: list) -> dict:
        """Return int64 arrays of encoded rows, each [rows, tokens]."""
        shape = len(encoded), max([1, *(len(one.ids) for one in encoded)])
        found = {name: np.zeros(shape, dtype=np.int64) for name in self.reading["inputs"]}
        found["input_ids"][:] = self.reading["pad_id"]
        for row, one in enumerate(encoded):
            ids = one.ids or [self.reading["empty_id"]]
            found["input_ids"][row, : len(ids)] = ids
            found["attention_mask"][row, : len(ids)] = 1
            if "token_type_ids" in found:
                found["token_type_ids"][row, : len(one.type_ids)] = one.type_ids
        return found

    def logits(self, rows: list) -> np.ndarray:
        """Return the logits of texts, or of pairs of them. [rows, classes]."""
        encoded = self.tokenizer.encode_batch(rows)
        order = sorted(range(len(rows)), key=lambda at: len(encoded[at].ids))
        found = np.zeros((len(rows), len(self.classes)), dtype=np.float32)
        for start in range(0, len(rows), PART):
            part = order[start : start + PART]
            (found[part],) = self.session.run(None, self.inputs([encoded[at] for at in part]))
        return found

    def answer(self, rows: list) -> list:
        """Return an answer for each row: label or labels with probabilities, or a score."""
        logits = self.logits(rows)
        if self.task == "regression":
            return [{"score": float(score)} for score in logits[:, 0]]
        scaled = logits.astype(np.float64) / np.array(self.reading["temperature"])
        if self.task == "multi_label":
            shares = 1 / (1 + np.exp(-scaled))
            chosen = [[self.classes[at] for at in np.flatnonzero(row > 0)] for row in logits]
            answers = [{"labels": labels} for labels in chosen]
        else:
            powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
            shares = powers / powers.sum(axis=1, keepdims=True)
            answers = [{"label": self.classes[at]} for at in logits.argmax(axis=1)]
        for answer, row in zip(answers, shares.tolist(), strict=True):
            answer["probabilities"] = dict(zip(self.classes, row, strict=True))
        return answers


def rows_from_arguments(texts: list, pairs: bool) -> list:
    if pairs and len(texts) % 2:
        sys.exit("serve_onnx.py: this student reads pairs: give two texts for each")
    return list(zip(texts[::2], texts[1::2], strict=True)) if pairs else texts


def rows_from_lines(lines, pairs: bool):
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        parts = tuple(text.split("\t"))
        if pairs and len(parts) != 2:
            sys.exit(f"serve_onnx.py: line {number} is no pair: one tab divides its two texts")
        yield parts if pairs else text


def main() -> None:
    parser = argparse.ArgumentParser(description="Answer texts with an exported student.")
    parser.add_argument("texts", nargs="*", help="texts; none: one per line of standard input")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="the export")
    parser.add_argument("--model", help="an ONNX file inside the folder")
    parser.add_argument("--threads", type=int, default=0, help="0: onnxruntime chooses")
    asked = parser.parse_args()
    names = [asked.model] if asked.model else ["model.onnx", "model_int8.onnx"]
    found = [asked.folder / name for name in names if (asked.folder / name).is_file()]
    if not found:
        sys.exit(f"serve_onnx.py: {asked.folder} holds no {' and no '.join(names)}")
    classifier = Classifier(found[0], asked.threads)
    pairs = classifier.reading["pairs"]
    given = rows_from_arguments(asked.texts, pairs)
    rows = iter(given or rows_from_lines(sys.stdin, pairs))
    while batch := list(islice(rows, BATCH)):
        for row, answer in zip(batch, classifier.answer(batch), strict=True):
            print(json.dumps({"text": row, **answer}, ensure_ascii=False), flush=True)


if __name__ == "__main__":
    main()
