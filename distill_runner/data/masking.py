"""Words hidden from a learner that has to find them again (Devlin et al. 2019, section 3.1).

Drawn anew every epoch, and addressed: which tokens of a row are hidden, and by what, is a
function of (seed, epoch, row id), whatever batch or process the row is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from distill_runner.data.encoding import Encoder, Inputs, View
from distill_runner.errors import Refused
from distill_runner.runtime.seeding import generator_at

TARGETS = "targets"  # beside a learner's inputs: the hidden tokens
NONE = -1  # the target of a token that is not hidden
# Of the hidden tokens: behind the mask, and another word in their place; the rest stay.
_MASKED, _REPLACED = 0.8, 0.1


@dataclass(frozen=True)
class MaskedView:
    """Another view with a share of its tokens hidden; special tokens never are.

    Its inputs have `TARGETS` too, [batch, tokens]: the id of a hidden token, else `NONE`.

    Args:
        whole: what is masked.
        ids: of its rows.
        encoder: of the learner, whose mask token is put in.
        share: of the tokens, 0..1; each is drawn by itself.
        seed: of the stage.
    """

    whole: View
    ids: Sequence[str]
    encoder: Encoder
    share: float
    seed: int

    @property
    def lengths(self) -> np.ndarray:
        return self.whole.lengths

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        inputs = dict(self.whole.inputs(rows, epoch))
        tokens, targets = inputs["input_ids"].numpy().copy(), []
        for at, row in enumerate(rows.tolist()):
            generator = generator_at(self.seed, "masking", epoch, self.ids[row])
            tokens[at], target = self._hide(tokens[at], generator)
            targets.append(target)
        inputs["input_ids"] = torch.from_numpy(tokens)
        inputs[TARGETS] = torch.from_numpy(np.stack(targets))
        return inputs

    def _hide(
        self, tokens: np.ndarray, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The row as it is read, and what is hidden in it. Each [tokens]."""
        # Drawn for as many tokens as any row may have: padding moves no draw.
        drawn = generator.random((2, self.encoder.max_tokens))[:, : len(tokens)]
        words = generator.choice(self._words, self.encoder.max_tokens)[: len(tokens)]
        hidden = (drawn[0] < self.share) & ~np.isin(tokens, self._specials)
        read = np.where(drawn[1] < _MASKED, self.encoder.tokenizer.mask_token_id, words)
        read = np.where(drawn[1] < _MASKED + _REPLACED, read, tokens)
        return np.where(hidden, read, tokens), np.where(hidden, tokens, NONE)

    @cached_property
    def _specials(self) -> list[int]:
        return list(self.encoder.tokenizer.all_special_ids)

    @cached_property
    def _words(self) -> np.ndarray:
        """What may stand in place of a hidden token: every token but the special ones."""
        return np.setdiff1d(np.arange(len(self.encoder.tokenizer)), self._specials)


def check_maskable(encoder: Encoder, *, key: str) -> None:
    """Refuse a tokenizer that has nothing to hide a word behind.

    Raises:
        Refused: it has no mask token.
    """
    if encoder.tokenizer.mask_token_id is None:
        raise Refused(
            "Words cannot be hidden from this model.",
            key=key,
            value=None,
            rule="a tokenizer with a mask token",
        )
