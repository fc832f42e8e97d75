"""Writes a student whose vocabulary is cut: the rows of its embedding, its tokenizer, its config.

The folder is a plain Hugging Face model folder, or Model2Vec's for a static student. No token that
the texts of the cut contain changes its embedding, so their logits stay what they were.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import nn

from distill_runner.errors import Refused
from distill_runner.export.description import TOKENIZER
from distill_runner.export.vocabulary import VocabularyCut, count_tokens, cut
from distill_runner.models import saving
from distill_runner.models.learner import Learner
from distill_runner.models.static import StaticForSequenceClassification
from distill_runner.models.vocabulary import word_table
from distill_runner.serving.finished_run import RunFolder
from distill_runner.serving.texts import Text, split_pairs

_BATCH = 1000  # texts tokenised at a time


@dataclass(frozen=True)
class CutFolder(RunFolder):
    """A run whose student's model folders lie in `cut` instead of the run folder."""

    cut: Path

    @property
    def student_folders(self) -> tuple[Path, ...]:
        """The cut model's folder, or those of its members."""
        return tuple(self.cut / name for name in self.result.student.members) or (self.cut,)


def in_cut_folder(run: RunFolder, folder: Path) -> CutFolder:
    """Return the run with the student that `write_cut` wrote to `folder`."""
    known = {field.name: getattr(run, field.name) for field in fields(run)}
    return CutFolder(**known, cut=folder)


def write_cut(
    learners: Sequence[Learner],
    texts: Sequence[Text],
    folders: Sequence[Path],
    *,
    classes: Sequence[str],
    at_least: int,
) -> VocabularyCut:
    """Cut the members' vocabulary, and write their folders; the learners are changed.

    Args:
        learners: the members, which share a tokenizer.
        texts: those that decide what is kept.
        folders: where to write each member; made here.
        classes: names of the outputs.
        at_least: how often a token must occur in them.

    Raises:
        Refused: the tokenizer is of an unknown kind, or a model looks tokens up in several places.
    """
    tokenizer = learners[0].encoder.tokenizer
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    seen = count_tokens(ids for part in _encoded(learners[0], texts) for ids in part)
    found = cut(state, seen, at_least=at_least, pad_id=tokenizer.pad_token_id)
    for learner, folder in zip(learners, folders, strict=True):
        _cut_embedding(learner, found)
        folder.mkdir(parents=True)
        saving.save(learner, folder, classes=classes)
        for older in ("vocab.txt", "vocab.json", "merges.txt"):
            (folder / older).unlink(missing_ok=True)
        text = json.dumps(found.state, ensure_ascii=False, indent=2)
        (folder / TOKENIZER).write_text(text, encoding="utf-8")
    return found


def _encoded(learner: Learner, texts: Sequence[Text]) -> Any:
    for start in range(0, len(texts), _BATCH):
        firsts, seconds = split_pairs(texts[start : start + _BATCH])
        yield learner.encoder.tokenize(firsts, seconds)["input_ids"]


def _cut_embedding(learner: Learner, found: VocabularyCut) -> None:
    """Keep the rows of the kept tokens, and renumber the ids that the config names."""
    module: Any = learner.module
    table = word_table(learner)
    if table is None or found.kept[-1] >= table.num_embeddings:
        name = type(module).__name__
        raise Refused(
            f"The vocabulary of a {name} cannot be cut: it is not one table that is read once.",
            key="--vocabulary",
            value=name,
            rule="a model that looks tokens up in one table only, such as BERT or RoBERTa",
            way_out="leave --vocabulary out",
        )
    numbers, config, kept = found.numbers, module.config, torch.tensor(found.kept)
    padding = table.padding_idx
    table.weight = nn.Parameter(table.weight.detach()[kept].clone())
    if isinstance(module, StaticForSequenceClassification):
        module.register_buffer("counted", module.get_buffer("counted")[kept], persistent=False)
    table.num_embeddings = config.vocab_size = len(found.kept)
    table.padding_idx = None if padding is None else numbers[padding]
    for name, value in config.to_dict().items():
        if name.endswith("_token_id") and isinstance(value, int):
            setattr(config, name, numbers.get(value))


def with_other_tokens(whole: Learner, smaller: Learner, texts: Sequence[Text]) -> int:
    """Return how many texts the smaller vocabulary cuts into other tokens."""
    names = [one.encoder.tokenizer.convert_ids_to_tokens for one in (whole, smaller)]
    found = 0
    for parts in zip(_encoded(whole, texts), _encoded(smaller, texts), strict=True):
        found += sum(
            names[0](before) != names[1](after) for before, after in zip(*parts, strict=True)
        )
    return found


def unknown_tokens(learner: Learner, texts: Sequence[Text]) -> int:
    """Return how many tokens of the texts are the one for unknown words."""
    unknown = learner.encoder.tokenizer.unk_token_id
    return sum(ids.count(unknown) for part in _encoded(learner, texts) for ids in part)
