"""The static student: word embeddings, averaged, under a small head. No transformer layer.

    z = W2 · relu(W1 · (1/n) Σ_i e(token_i) + b1) + b2

Its files are those of Model2Vec, whose `StaticModelPipeline.from_pretrained(folder)` predicts with
numpy alone. As there, special tokens and unknown words are left out of the mean.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.config.schema import TaskKind
from distill_runner.data.encoding import Encoder
from distill_runner.data.readers.scores import OUTPUT
from distill_runner.errors import Refused
from distill_runner.models.architecture import families
from distill_runner.tasks.kinds import task_of_model

HEAD = "head.safetensors"
HIDDEN_UNITS = 512  # of the head; Model2Vec's own classifiers have as many
_ACTIVATIONS = {
    TaskKind.classification: "softmax",
    TaskKind.multi_label: "sigmoid",
    TaskKind.regression: "identity",
}
_MODULES = [
    {"idx": 0, "name": "0", "path": ".", "type": "sentence_transformers.models.StaticEmbedding"}
]


class StaticForSequenceClassification(nn.Module):
    """Averages a text's word embeddings, and classifies the mean.

    Args:
        words: [vocabulary, width], the embeddings.
        counted: [vocabulary], whether a token counts in the mean.
        config: a transformers config with the outputs' number and names.
        hidden: units of the head's hidden layer.
    """

    def __init__(
        self, words: Tensor, counted: Tensor, config: Any, *, hidden: int = HIDDEN_UNITS
    ) -> None:
        super().__init__()
        self.config = config
        self.words = nn.Embedding(len(words), words.shape[1], _weight=words)
        self.register_buffer("counted", counted, persistent=False)
        self.head = nn.Sequential(
            nn.Linear(words.shape[1], hidden), nn.ReLU(), nn.Linear(hidden, config.num_labels)
        )

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the word embeddings."""
        return self.words

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: object) -> Any:
        """Return an output with `logits`, [batch, outputs]; both inputs are [batch, tokens]."""
        from transformers.modeling_outputs import SequenceClassifierOutput

        counted = self.get_buffer("counted")[input_ids] & attention_mask.bool()
        weights = counted.to(self.words.weight.dtype)
        # A text without a known word has the mean 0.
        shares = weights / weights.sum(1, keepdim=True).clamp(min=1)
        mean = (self.words(input_ids) * shares[..., None]).sum(1)
        return SequenceClassifierOutput(logits=self.head(mean))


def is_static(folder: Path) -> bool:
    """Return whether a model folder holds a static student."""
    return (folder / HEAD).is_file()


def new_static(source: Any, encoder: Encoder, outputs: Mapping[str, Any], *, key: str) -> Any:
    """Return a static student with the word embeddings of a classifier and a new head.

    Args:
        source: the classifier, of any architecture.
        encoder: the student's tokenizer.
        outputs: the outputs' number and names, as in a transformers config.
        key: the configuration key to blame.

    Raises:
        Refused: the classifier has no word embeddings, or they are not the tokenizer's.
    """
    from transformers import PretrainedConfig

    table, size = families.word_table(source), len(encoder.tokenizer)
    if table is None or table.num_embeddings < size or not encoder.tokenizer.is_fast:
        raise Refused(
            "This model has no word embeddings for a static student.",
            key=key,
            value=type(source).__name__,
            rule="an embedding for each word of a fast tokenizer, as BERT and RoBERTa have",
            way_out="student=static student.model=bert-base-uncased",
        )
    words = table.weight.detach()[:size].clone()
    counted = torch.ones(size, dtype=torch.bool)
    counted[encoder.tokenizer.all_special_ids] = False
    return StaticForSequenceClassification(words, counted, PretrainedConfig(**outputs))


def save_static(module: StaticForSequenceClassification, encoder: Encoder, folder: Path) -> None:
    """Write the files of Model2Vec's `StaticModelPipeline`, except the tokenizer.

    Args:
        module: the student.
        encoder: its tokenizer, which has a limit of tokens.
        folder: where to write; made if missing.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    layers = [module.head[0], module.head[2]]
    tensors = {
        f"head.{at}.{name}": weight.detach().cpu().contiguous()
        for at, layer in enumerate(layers)
        for name, weight in layer.named_parameters()
    }
    save_file(tensors, folder / HEAD)
    words = module.words.weight.detach().cpu().contiguous()
    counted = module.get_buffer("counted").cpu().to(torch.uint8)
    save_file({"embeddings": words, "counted": counted}, folder / "model.safetensors")
    names = [module.config.id2label[at] for at in range(module.config.num_labels)]
    kind = task_of_model(module.config).rules.kind
    config = {
        "model_type": "model2vec",
        "normalize": False,
        # Ours counts special tokens, which Model2Vec does not add.
        "max_length": encoder.max_tokens - encoder.tokenizer.num_special_tokens_to_add(),
        "embedding_dtype": "float32",
        "problem_type": module.config.problem_type,
        "head_config": {
            "n_layers": len(layers),
            "activation": _ACTIVATIONS[kind],
            "classes": None if kind is TaskKind.regression else names,
        },
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    (folder / "modules.json").write_text(json.dumps(_MODULES, indent=2), encoding="utf-8")


def read_static(folder: Path) -> StaticForSequenceClassification:
    """Read what `save_static` wrote.

    Raises:
        KeyError, ValueError, OSError: the files are damaged.
    """
    from safetensors.torch import load_file

    words, head = load_file(folder / "model.safetensors"), load_file(folder / HEAD)
    module = StaticForSequenceClassification(
        words["embeddings"],
        words["counted"].bool(),
        _read_config(folder),
        hidden=len(head["head.0.bias"]),
    )
    for at, layer in enumerate((module.head[0], module.head[2])):
        layer.load_state_dict({name: head[f"head.{at}.{name}"] for name in ("weight", "bias")})
    return module


def _read_config(folder: Path) -> Any:
    """Return the outputs' number and names as a transformers config."""
    from transformers import PretrainedConfig

    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    names = stored["head_config"]["classes"] or [OUTPUT]
    return PretrainedConfig(
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: at for at, name in enumerate(names)},
        problem_type=stored["problem_type"],
    )
