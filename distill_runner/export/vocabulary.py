"""Cuts a tokenizer to the tokens that texts contain, and renumbers what is left.

What is kept: special and added tokens; pieces of one character or byte, so that a word without a
piece of its own is still spelt; pieces that could not be spelt so; and the pieces seen in the
texts. A WordPiece or Unigram tokenizer cuts texts of kept pieces as before, since the longest or
the likeliest pieces are still there. A BPE tokenizer does if every piece that its merges pass
through is kept too, and they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from distill_runner.errors import Refused

State = dict[str, Any]  # the content of tokenizer.json
Counts = Mapping[int, int]  # how often each token id occurs in the texts


@dataclass(frozen=True)
class VocabularyCut:
    """A smaller tokenizer.

    Attributes:
        state: the content of its tokenizer.json.
        kept: the earlier id of each of its tokens, in ascending order. [tokens].
        before: the number of tokens before the cut.
    """

    state: State
    kept: tuple[int, ...]
    before: int

    @property
    def numbers(self) -> dict[int, int]:
        """The new id of each kept token, by its earlier id."""
        return {old: new for new, old in enumerate(self.kept)}


def count_tokens(rows: Iterable[Sequence[int]]) -> Counter[int]:
    """Return how often each token id occurs in encoded texts."""
    found: Counter[int] = Counter()
    for ids in rows:
        found.update(ids)
    return found


def cut(state: State, seen: Counts, *, at_least: int, pad_id: int) -> VocabularyCut:
    """Cut a tokenizer to the tokens that occur at least `at_least` times.

    Args:
        state: the content of tokenizer.json; not changed.
        seen: how often each token occurs.
        at_least: 1 or more; 1 leaves every text counted as it was.
        pad_id: the padding token; tokens below it stay too, since RoBERTa counts positions from it.

    Raises:
        Refused: the tokenizer is of a kind that this module does not know.
    """
    vocabulary = _vocabulary(state)
    spelling = _SPELLINGS[state["model"]["type"]]
    wanted = {token for token, at in vocabulary.items() if seen.get(at, 0) >= at_least}
    fixed = {one["content"] for one in state["added_tokens"]} | _named(state, vocabulary)
    fixed |= {token for token, at in vocabulary.items() if at < min(pad_id, _FEW)}
    names = spelling(state["model"], vocabulary, wanted | (fixed & vocabulary.keys()))
    added = {one["id"] for one in state["added_tokens"]}
    kept = tuple(sorted({vocabulary[name] for name in names} | added))
    before = len({*vocabulary.values(), *added})
    found = VocabularyCut(state={}, kept=kept, before=before)
    numbers = found.numbers
    renumbered = {
        **state,
        "model": _renumber_model(state["model"], numbers),
        "added_tokens": [{**one, "id": numbers[one["id"]]} for one in state["added_tokens"]],
        "post_processor": _renumber_processor(state["post_processor"], numbers),
    }
    return VocabularyCut(state=renumbered, kept=kept, before=before)


_FEW = 16  # a padding id below it is at the beginning of the vocabulary


def _vocabulary(state: State) -> dict[str, int]:
    model = state["model"]
    if model["type"] not in _SPELLINGS:
        raise _refused(f"{model['type']} tokenizer")
    if model["type"] == "Unigram":
        return {piece: at for at, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _refused(kind: str) -> Refused:
    return Refused(
        f"The vocabulary of a {kind} cannot be cut.",
        key="--vocabulary",
        value=kind,
        rule=f"a tokenizer of one of the kinds {', '.join(_SPELLINGS)}",
        way_out="leave --vocabulary out",
    )


def _named(state: State, vocabulary: Mapping[str, int]) -> set[str]:
    """Return the tokens that the model names by itself: the one for unknown words."""
    model = state["model"]
    if model["type"] == "Unigram":
        at = model.get("unk_id")
        return set() if at is None else {model["vocab"][at][0]}
    unknown = model.get("unk_token")
    return {unknown} & vocabulary.keys()


# --- which pieces stay, by kind of tokenizer ---


def _wordpieces(model: State, vocabulary: Mapping[str, int], wanted: set[str]) -> set[str]:
    prefix = model["continuing_subword_prefix"]

    def is_spelt(token: str) -> bool:
        """Return whether the token's characters are all pieces of their own."""
        inside = token.startswith(prefix)
        letters = list(token.removeprefix(prefix))
        heads = [] if inside else letters[:1]
        others = letters[len(heads) :]
        return all(one in vocabulary for one in (*heads, *(f"{prefix}{one}" for one in others)))

    def is_single(token: str) -> bool:
        return len(token.removeprefix(prefix)) == 1

    stay = (t for t in vocabulary if is_single(t) or not is_spelt(t))
    return wanted | set(stay)


def _unigrams(model: State, vocabulary: Mapping[str, int], wanted: set[str]) -> set[str]:
    bytes_too = bool(model.get("byte_fallback"))
    single = {t for t in vocabulary if len(t) == 1 or (bytes_too and _is_byte(t))}
    unspelt = {t for t in vocabulary if not all(one in vocabulary for one in t)}
    return wanted | single | unspelt


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">")


def _merged(model: State, vocabulary: Mapping[str, int], wanted: set[str]) -> set[str]:
    """Return the wanted pieces, single characters, and the pieces between them."""
    ranks = {pair: rank for rank, pair in enumerate(_pairs(model))}
    if model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        raise _refused("BPE tokenizer with marked word ends")
    bytes_too = bool(model.get("byte_fallback"))
    stay = {t for t in vocabulary if len(t) == 1 or (bytes_too and _is_byte(t))}
    reached = {"".join(pair) for pair in ranks}
    for token in wanted:
        stay |= {token, *(_pieces_between(token, ranks) if token in reached else ())}
    # A piece that no merge makes is a word of its own, such as an added one.
    return stay | {t for t in vocabulary if t not in reached and len(t) > 1}


def _pieces_between(token: str, ranks: Mapping[tuple[str, str], int]) -> Iterator[str]:
    """Yield every piece that merging the token's characters passes through."""
    parts = list(token)
    while len(parts) > 1:
        pairs = list(pairwise(parts))
        best = min(pairs, key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            return
        at = pairs.index(best)
        parts[at : at + 2] = ["".join(best)]
        yield parts[at]


def _pairs(model: State) -> list[tuple[str, str]]:
    """Return the merges; older files write a pair as one text."""
    split = (one.split(" ", 1) if isinstance(one, str) else one for one in model["merges"])
    return [(first, second) for first, second in split]


_SPELLINGS: Mapping[str, Callable[[State, Mapping[str, int], set[str]], set[str]]] = {
    "WordPiece": _wordpieces,
    "BPE": _merged,
    "Unigram": _unigrams,
}

# --- the same with new numbers ---


def _renumber_model(model: State, numbers: Mapping[int, int]) -> State:
    if model["type"] == "Unigram":
        entries = [entry for at, entry in enumerate(model["vocab"]) if at in numbers]
        unknown = model.get("unk_id")
        return {**model, "vocab": entries, "unk_id": None if unknown is None else numbers[unknown]}
    vocabulary = {t: numbers[at] for t, at in model["vocab"].items() if at in numbers}
    found = {**model, "vocab": vocabulary}
    if model["type"] == "BPE":
        parts = [pair for pair in _pairs(model) if {*pair, "".join(pair)} <= vocabulary.keys()]
        found["merges"] = [list(pair) for pair in parts]
    return found


def _renumber_processor(processor: State | None, numbers: Mapping[int, int]) -> State | None:
    """Return the step that adds special tokens, with their new ids."""
    if processor is None or processor["type"] == "ByteLevel":
        return processor
    if processor["type"] == "Sequence":
        parts = [_renumber_processor(one, numbers) for one in processor["processors"]]
        return {**processor, "processors": parts}
    if processor["type"] == "TemplateProcessing":
        special = {
            name: {**one, "ids": [numbers[at] for at in one["ids"]]}
            for name, one in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": special}
    if processor["type"] in ("BertProcessing", "RobertaProcessing"):
        ends = {name: [processor[name][0], numbers[processor[name][1]]] for name in ("sep", "cls")}
        return {**processor, **ends}
    raise _refused(f"tokenizer with {processor['type']}")
