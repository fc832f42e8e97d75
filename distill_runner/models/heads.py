"""Adds soft heads: one linear layer per teacher on the first token's last state (TMKD, §3.2).

The architecture's classifier is the golden head. With soft heads a learner predicts the mean of
all heads' probabilities, which no single linear head can express. So the soft heads are saved in
a separate file, and the model remains a plain classifier that transformers can load.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from distill_runner.errors import Refused
from distill_runner.runtime.seeding import seed_at
from distill_runner.tasks.kinds import task_of_model

FILE = "soft_heads.safetensors"
_NAME = "soft_heads"  # the submodule's name


def add(module: Any, *, heads: int, classes: int, seed: int, golden: bool) -> None:
    """Attach freshly initialised soft heads to a classifier.

    Args:
        module: a transformers sequence classifier.
        heads: their number, one per teacher.
        classes: the outputs of each head.
        seed: the seed of their weights.
        golden: whether the golden head counts in the prediction.

    Raises:
        Refused: the classifier has no token states, as a static student.
    """
    if not hasattr(module.config, "hidden_size"):
        raise Refused(
            "A static student has no soft heads: it has no state of a first token.",
            key="student.layers",
            value=[],
            rule="one layer or more under a method with soft heads, such as tmkd",
            way_out="student.layers=[0], or method=kd",
        )
    torch.manual_seed(seed_at(seed, "soft heads"))
    weights = nn.Linear(module.config.hidden_size, heads * classes)
    nn.init.normal_(weights.weight, std=getattr(module.config, "initializer_range", 0.02))
    nn.init.zeros_(weights.bias)
    _attach(module, weights.to(next(module.parameters()).device), golden=golden)


def _attach(module: Any, weights: nn.Linear, *, golden: bool) -> None:
    kept: dict[str, Tensor] = {}

    def keep_first(_: nn.Module, __: Any, output: Any) -> None:
        kept["first"] = output[0][:, 0]

    def add_soft_logits(module: Any, _: Any, output: Any) -> None:
        output[_NAME] = module.soft_heads(kept.pop("first"))

    module.soft_heads = weights
    module.golden_head = golden
    module.base_model.register_forward_hook(keep_first)
    module.register_forward_hook(add_soft_logits)


def of(module: Any) -> nn.Linear | None:
    """Return the soft heads as one layer with heads * classes outputs; None if there are none."""
    found: nn.Linear | None = getattr(module, _NAME, None)
    return found


def logits_of(output: Any) -> Tensor:
    """Return logits of every head, the golden head first. [1 + soft heads, batch, classes].

    Args:
        output: the output of a classifier with soft heads.
    """
    golden: Tensor = output.logits
    soft = output[_NAME].view(len(golden), -1, golden.shape[-1]).transpose(0, 1)
    return torch.cat([golden[None], soft])


def joint_logits(module: Any, logits: Tensor) -> Tensor:
    """Return the joint prediction of all heads, as logits (TMKD, eq. 6). [batch, classes].

    The golden head counts only if it was trained (§5.4).

    Args:
        logits: [1 + soft heads, batch, classes], the golden head's first.
    """
    counted = logits if module.golden_head else logits[1:]
    return task_of_model(module.config).joint_logits(counted)


def without(module: Any) -> dict[str, Tensor]:
    """Return the weights of the classifier without its soft heads."""
    state: dict[str, Tensor] = module.state_dict()
    return {name: weight for name, weight in state.items() if not name.startswith(f"{_NAME}.")}


def save(module: Any, folder: Path) -> None:
    """Write the soft heads to `FILE`: weight [heads, classes, width] and bias [heads, classes].

    Its metadata record whether the golden head counts. Without soft heads no file is written.
    """
    from safetensors.torch import save_file

    weights = of(module)
    if weights is None:
        return
    classes = module.config.num_labels
    tensors = {
        "weight": weights.weight.detach().cpu().view(-1, classes, weights.in_features),
        "bias": weights.bias.detach().cpu().view(-1, classes),
    }
    metadata = {"golden_head": json.dumps(bool(module.golden_head))}
    save_file({k: v.contiguous() for k, v in tensors.items()}, folder / FILE, metadata)


def load(module: Any, folder: Path) -> None:
    """Attach the soft heads that `folder` holds, if any.

    Raises:
        Refused: the file cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / FILE
    if not path.is_file():
        return
    try:
        with safe_open(path, framework="pt") as file:
            weight, bias = file.get_tensor("weight"), file.get_tensor("bias")
            golden = json.loads((file.metadata() or {})["golden_head"])
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        raise Refused(
            f"The soft heads of this model cannot be read: {error}",
            key="store.dir",
            value=str(path),
            rule="weight [heads, classes, width] and bias [heads, classes] in safetensors",
        ) from None
    weights = nn.Linear(weight.shape[-1], bias.numel())
    with torch.no_grad():
        weights.weight.copy_(weight.flatten(0, 1))
        weights.bias.copy_(bias.flatten())
    _attach(module, weights, golden=bool(golden))
