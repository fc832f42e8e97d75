"""Runs a classifier with its tokenizer, and maps its outputs to the data set's classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from distill_runner.data.encoding import Encoder, Inputs
from distill_runner.errors import DistillError
from distill_runner.models import heads, language, row_groups
from distill_runner.models.architecture import families
from distill_runner.models.depth import StochasticDepth
from distill_runner.models.fast.first_token import LastLayer
from distill_runner.models.fast.packed import Packer

ATTACHED = "attached"  # the submodule that holds modules trained with the classifier


class Learner:
    """A text classifier whose logits are in the data set's order of classes.

    Args:
        name: the name in messages.
        module: a transformers sequence classifier.
        encoder: its tokenizer.
        columns: the module's output for class 0, 1, … of the data set; None if the orders agree.
    """

    def __init__(
        self,
        name: str,
        module: Any,
        encoder: Encoder,
        *,
        columns: tuple[int, ...] | None = None,
    ) -> None:
        self.name = name
        self.module: nn.Module = module
        self.encoder = encoder
        self._columns = None if columns is None else list(columns)
        self._weights: Mapping[str, Tensor] | None = None
        self._forward: Callable[..., Any] = self.module
        self._last_layer: LastLayer | None = None
        self._packer: Packer | None = None
        self._depth: StochasticDepth | None = None
        self._words: Tensor | None = None

    def compile(self) -> None:
        """Run the plain forward through torch.compile from now on."""
        self._forward = torch.compile(self.module, dynamic=True)

    def read_first_token_only(self) -> None:
        """Compute the last layer for the first token only from now on, if the head allows it."""
        self._last_layer = LastLayer.of(self.module)

    def leave_padding_out(self) -> None:
        """Read batches without their padding from now on, if that is faster.

        Takes effect only after `read_first_token_only`: packing keeps no other token's output.
        """
        self._packer = Packer.of(self.module) if self._last_layer else None

    def skip_layers(self, p: float) -> None:
        """Skip layers in training from now on; `p` is the last layer's probability, 0..1.

        Raises:
            Refused: the architecture's layers cannot be skipped.
        """
        self._depth = StochasticDepth.of(self.module, p)

    def attach(self, name: str, module: nn.Module) -> None:
        """Attach a module that is trained with this one; `saving.save` leaves it out."""
        if not hasattr(self.module, ATTACHED):
            self.module.add_module(ATTACHED, nn.ModuleDict())
        self.attached.add_module(name, module)

    @property
    def attached(self) -> nn.ModuleDict:
        """The attached modules, by name."""
        return cast("nn.ModuleDict", self.module.get_submodule(ATTACHED))

    @property
    def reads_all_words(self) -> bool:
        """Whether the whole word table is read at every step, as a language head does."""
        return language.is_attached(self.module)

    @property
    def leaves_padding_out(self) -> bool:
        """Whether batches of rows of different lengths are read without padding."""
        return self._packer is not None

    @property
    def parameters(self) -> int:
        """The number of parameters, embeddings included."""
        return sum(weight.numel() for weight in self.module.parameters())

    @property
    def in_data_order(self) -> bool:
        """Whether the module's own outputs are the data set's classes, in order."""
        return self._columns is None

    def trainable(self) -> list[tuple[str, Tensor]]:
        """Return names and weights that training may change."""
        return [(n, w) for n, w in self.module.named_parameters() if w.requires_grad]

    def logits(self, inputs: Inputs) -> Tensor:
        """Return logits in the data set's order of classes, float32 or wider. [batch, classes]."""
        found = self.head_logits(inputs)
        return found[0] if len(found) == 1 else heads.joint_logits(self.module, found)

    def head_logits(self, inputs: Inputs) -> Tensor:
        """Return logits of every head, the classifier's own first. [heads, batch, classes]."""
        return row_groups.read_apart(self.module, self._head_logits, inputs)

    def _head_logits(self, inputs: Inputs) -> Tensor:
        packed = self._packer.pack(inputs) if self._packer else None
        arguments = packed[0] if packed else dict(inputs)
        with self._changed_layers():
            if self._weights is None:
                output = self._forward(**arguments)
            else:
                output = functional_call(self.module, dict(self._weights), (), arguments)
        soft = heads.of(self.module) is not None
        logits: Tensor = heads.logits_of(output) if soft else output.logits[None]
        if packed:
            logits = packed[1].unsorted(logits, dim=1)
        if self._columns is not None:
            logits = logits[..., self._columns]
        return logits.to(torch.promote_types(logits.dtype, torch.float32))

    def on_device(self, inputs: Inputs, device: torch.device) -> Inputs:
        """Move `inputs` to the device after checking that the embedding has every token id.

        The check runs on the host: on a GPU a missing id would abort the whole process.

        Raises:
            DistillError: the embedding has no row for an id.
        """
        ids = inputs["input_ids"]
        words = self._words
        if words is None:
            table = families.word_table(self.module)
            if table is None:
                return {name: tensor.to(device) for name, tensor in inputs.items()}
            words = torch.ones(table.num_embeddings, dtype=torch.bool)
        known = (ids >= 0) & (ids < len(words))
        known &= words[ids.clamp(0, len(words) - 1)]
        if not known.all():
            raise DistillError(
                f"{self.name} has no word for the token id {int(ids[~known][0])}.\n"
                "  its tokenizer and its weights do not belong together"
            )
        return {name: tensor.to(device) for name, tensor in inputs.items()}

    @contextmanager
    def reading_only(self, words: Tensor) -> Iterator[None]:
        """Refuse token ids that `words`, [vocabulary], does not mark as true, inside the block."""
        before, self._words = self._words, words
        try:
            yield
        finally:
            self._words = before

    def token_states(self, inputs: Inputs) -> Tensor:
        """Return the last state of every token but padding. [tokens, width]."""
        names = self.encoder.tokenizer.model_input_names
        return language.states(self.module, inputs, tuple(names))

    def token_logits(self, states: Tensor) -> Tensor:
        """Return the language head's logits for `states`, [tokens, width]. [tokens, vocabulary]."""
        return language.logits(self.module, states)

    @contextmanager
    def _changed_layers(self) -> Iterator[None]:
        with ExitStack() as changes:
            if self._last_layer:
                changes.enter_context(self._last_layer.narrowed())
            if self._depth and self.module.training:
                narrowed = self._last_layer is not None
                changes.enter_context(self._depth.drawn(narrowed=narrowed))
            yield

    @contextmanager
    def with_weights(self, weights: Mapping[str, Tensor]) -> Iterator[None]:
        """Run on these weights inside the block; the module's own stay unchanged."""
        before, self._weights = self._weights, weights
        try:
            yield
        finally:
            self._weights = before

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Turn dropout off inside the block."""
        training = self.module.training
        self.module.eval()
        try:
            yield
        finally:
            self.module.train(training)
