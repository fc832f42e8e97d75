"""Cuts students from larger models: chooses layers and copies their weights."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.errors import Refused

# BERT's parameter names, as patterns, and DistilBERT's names for them.
_BERT_TO_DISTILBERT = (
    (r"^bert\.encoder\.layer\.", "distilbert.transformer.layer."),
    (r"^bert\.embeddings\.", "distilbert.embeddings."),
    (r"\.attention\.self\.query\.", ".attention.q_lin."),
    (r"\.attention\.self\.key\.", ".attention.k_lin."),
    (r"\.attention\.self\.value\.", ".attention.v_lin."),
    (r"\.attention\.output\.dense\.", ".attention.out_lin."),
    (r"\.attention\.output\.LayerNorm\.", ".sa_layer_norm."),
    (r"\.intermediate\.dense\.", ".ffn.lin1."),
    (r"(layer\.\d+)\.output\.dense\.", r"\1.ffn.lin2."),
    (r"(layer\.\d+)\.output\.LayerNorm\.", r"\1.output_layer_norm."),
)


def layers_of(module: Any) -> nn.ModuleList:
    """Return the list of transformer layers of a BERT-, RoBERTa- or DistilBERT-like classifier.

    Raises:
        Refused: the architecture's layers are not known.
    """
    body = module.base_model
    stack = getattr(body, "encoder", None) or getattr(body, "transformer", None)
    layers = getattr(stack, "layer", None)
    if not isinstance(layers, nn.ModuleList):
        raise Refused(
            f"The layers of a {type(module).__name__} cannot be chosen.",
            key="student.layers",
            value=None,
            rule="BERT, RoBERTa or DistilBERT",
            way_out="student.layers=null",
        )
    return layers


def spread(depth: int, wanted: int) -> tuple[int, ...]:
    """Return `wanted` layers spaced evenly over `depth`, including the first and the last.

    For depth 12, 6 layers are DistilBERT's 0, 2, 4, 7, 9, 11.
    """
    if wanted == 1:
        return (0,)
    return tuple(round(at * (depth - 1) / (wanted - 1)) for at in range(wanted))


def keep_layers(module: Any, layers: Sequence[int]) -> None:
    """Keep only these layers of a classifier, in this order.

    Raises:
        Refused: a layer does not exist.
    """
    stack = layers_of(module)
    check_layers(layers, len(stack))
    kept = [stack[at] for at in layers]
    del stack[:]
    stack.extend(kept)
    # DistilBERT's config maps this name to n_layers.
    module.config.num_hidden_layers = len(kept)


def copy_layers(teacher: Any, student: Any, layers: Sequence[int] | None) -> None:
    """Copy chosen layers of the teacher into the student's body (DistilBERT's recipe).

    The head keeps its weights. Parts that the student does not have are left out, as in the
    published recipe: DistilBERT has no segment embedding.

    Args:
        teacher, student: transformers classifiers.
        layers: the teacher's layers to copy, 0-based; None spaces them evenly.

    Raises:
        Refused: the family, width, vocabulary or number of layers does not fit.
    """
    depth, wanted = len(layers_of(teacher)), len(layers_of(student))
    chosen = tuple(layers) if layers is not None else spread(depth, min(depth, wanted))
    check_layers(chosen, depth)
    if len(chosen) != wanted:
        raise Refused(
            f"The student has {wanted} layers, so {wanted} layers of the teacher are needed.",
            key="student.layers",
            value=list(chosen),
            rule=f"{wanted} numbers from 0..{depth - 1}",
            way_out=f"student.layers={list(spread(depth, wanted))}"
            if wanted <= depth
            else "student.start=pretrained",
        )
    weights = _rename_weights(teacher.state_dict(), teacher, student)
    body = student.base_model_prefix + "."
    with torch.no_grad():
        for name, weight in student.state_dict().items():
            if name.startswith(body):
                _copy(weight, weights, name, chosen)


def _copy(weight: Tensor, source: Mapping[str, Tensor], name: str, chosen: tuple[int, ...]) -> None:
    origin = re.sub(r"\.layer\.(\d+)\.", lambda m: f".layer.{chosen[int(m[1])]}.", name)
    found = source.get(origin)
    if found is None or found.shape != weight.shape:
        got = "nothing" if found is None else str(tuple(found.shape))
        raise Refused(
            f"The student's {name} cannot be copied from the teacher.",
            key="student.start",
            value="teacher",
            rule=f"the same family, width and vocabulary: needs {tuple(weight.shape)}, found {got}",
            way_out="student.start=pretrained",
        )
    weight.copy_(found)


def _rename_weights(weights: Mapping[str, Tensor], teacher: Any, student: Any) -> dict[str, Tensor]:
    """Return the teacher's weights under the student's names."""
    if (teacher.config.model_type, student.config.model_type) != ("bert", "distilbert"):
        return dict(weights)
    renamed = {}
    for name, weight in weights.items():
        for pattern, replacement in _BERT_TO_DISTILBERT:
            name = re.sub(pattern, replacement, name)
        renamed[name] = weight
    return renamed


def check_layers(layers: Sequence[int], depth: int) -> None:
    """Refuse layers that a model of that depth does not have.

    Raises:
        Refused: a layer does not exist or is named twice, or the list is empty.
    """
    valid = all(0 <= at < depth for at in layers) and len(set(layers)) == len(layers)
    if not layers or not valid:
        raise Refused(
            "There is no such layer.",
            key="student.layers",
            value=list(layers),
            rule=f"different numbers from 0..{depth - 1}",
        )
