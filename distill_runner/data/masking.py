"""Masks tokens for masked language modelling (Devlin et al. 2019, section 3.1).

Every epoch draws new masks: the masked tokens of a row and their replacements are a function of
(seed, epoch, row id), independent of batch and process.
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

TARGETS = "targets"  # the key of the masked tokens among a learner's inputs
NONE = -1  # the target of a token that is not masked
# Shares of the chosen tokens that become the mask and a random token; the rest stay.
_MASKED, _REPLACED = 0.8, 0.1


@dataclass(frozen=True)
class MaskedView:
    """Another view with a share of its tokens masked; special tokens never are.

    Its inputs also contain `TARGETS`, [batch, tokens]: the id of a masked token, else `NONE`.

    Args:
        whole: the view to mask.
        ids: the ids of its rows.
        encoder: the learner's encoder, which has the mask token.
        share: the probability that a token is chosen, 0..1.
        seed: the stage's seed.
    """

    whole: View
    ids: Sequence[str]
    encoder: Encoder
    share: float
    seed: int

    @property
    def lengths(self) -> np.ndarray:
        """[rows], tokens of each row."""
        return self.whole.lengths

    def inputs(self, rows: np.ndarray, epoch: int) -> Inputs:
        """Return the padded inputs of `rows` in `epoch`, masked, with `TARGETS`."""
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
        """Return the masked row and its targets, each [tokens]."""
        # Drawn for the maximum length, so that padding does not change the draws.
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
        """The tokens that may replace a chosen one: all except special tokens."""
        return np.setdiff1d(np.arange(len(self.encoder.tokenizer)), self._specials)


def check_maskable(encoder: Encoder, *, key: str) -> None:
    """Reject a tokenizer without a mask token.

    Raises:
        Refused: the tokenizer has no mask token.
    """
    if encoder.tokenizer.mask_token_id is None:
        raise Refused(
            "This model cannot learn from masked words.",
            key=key,
            value=None,
            rule="a tokenizer with a mask token",
        )
