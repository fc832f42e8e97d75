from collections import Counter

import numpy as np
import pytest

from distill_runner.config.schema import Noise, NoiseKind
from distill_runner.data.noise import add_noise, noisy
from distill_runner.errors import Refused

KINDS = [kind.value for kind in NoiseKind]
TEXT = "the first\tsentence is  long enough, and odd."
LONG = " ".join(f"word{n}" for n in range(5000))


def disturb(text, kind, p, *, seed=1, word="noise_word"):
    return add_noise(
        text,
        kind=kind,
        p=p,
        word=word,
        mask_token="[MASK]",
        generator=np.random.default_rng(seed),
    )


def disturb_rows(row_ids, *, epoch=0, seed=1, p=0.5, kind=NoiseKind.replace_word):
    return noisy(
        [LONG[:200]] * len(row_ids),
        row_ids=row_ids,
        epoch=epoch,
        seed=seed,
        noise=Noise(kind=kind, p=p),
        mask_token="[MASK]",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_p_of_zero_leaves_the_text_untouched(kind):
    assert disturb(TEXT, kind, 0.0) == TEXT


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_text_stays_empty(kind):
    assert disturb("", kind, 1.0) == ""


def test_none_does_nothing_at_any_p():
    assert disturb(TEXT, "none", 1.0) == TEXT


def test_replace_word_keeps_the_punctuation_at_the_end():
    assert disturb("A sentence.", "replace_word", 1.0) == "noise_word noise_word."


def test_replace_word_puts_in_the_word_asked_for():
    assert disturb("well, yes", "replace_word", 1.0, word="blah") == "blah, blah"


def test_mask_puts_the_token_in_place_of_the_whole_word():
    assert disturb("A sentence.", "mask", 1.0) == "[MASK] [MASK]"


def test_delete_leaves_one_of_the_words_when_all_are_hit():
    survivors = Counter(disturb("a b c", "delete", 1.0, seed=seed) for seed in range(60))
    assert set(survivors) == {"a", "b", "c"}


def test_swap_of_every_word_exchanges_neighbours_in_pairs():
    assert disturb("a b c d e", "swap", 1.0) == "b a d c e"


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_swap_keeps_every_word(p):
    assert Counter(disturb(LONG, "swap", p).split()) == Counter(LONG.split())


@pytest.mark.parametrize("kind", ["replace_word", "mask"])
def test_each_word_is_hit_with_probability_p(kind):
    words = disturb(LONG, kind, 0.3).split()
    hits = sum(new != old for new, old in zip(words, LONG.split(), strict=True))
    assert hits / len(words) == pytest.approx(0.3, abs=0.03)


def test_delete_takes_each_word_with_probability_p():
    assert len(disturb(LONG, "delete", 0.3).split()) / 5000 == pytest.approx(0.7, abs=0.03)


def test_words_that_are_not_hit_keep_their_order():
    words = disturb(LONG, "delete", 0.5).split()
    assert words == sorted(words, key=lambda word: int(word.removeprefix("word")))


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_a_chance_outside_0_to_1_is_refused(p):
    with pytest.raises(Refused, match=r"noise\.p"):
        disturb(TEXT, "mask", p)


def test_an_unknown_kind_is_refused_with_the_list_of_kinds():
    with pytest.raises(Refused, match="replace_word, mask, delete, swap"):
        disturb(TEXT, "shout", 0.1)


@pytest.mark.parametrize("kind", [NoiseKind.mask, NoiseKind.delete, NoiseKind.swap])
def test_the_draw_of_a_row_does_not_depend_on_its_batch(kind):
    alone = disturb_rows(["b"], kind=kind)
    assert disturb_rows(["a", "b", "c"], kind=kind)[1:2] == alone
    assert disturb_rows(["c", "b"], kind=kind)[1:] == alone


def test_the_same_address_gives_the_same_noise():
    assert disturb_rows(["a", "b"]) == disturb_rows(["a", "b"])


@pytest.mark.parametrize("elsewhere", [{"epoch": 1}, {"seed": 2}])
def test_another_epoch_or_seed_gives_other_noise(elsewhere):
    assert disturb_rows(["a"]) != disturb_rows(["a"], **elsewhere)


def test_rows_with_the_same_text_get_noise_of_their_own():
    assert len(set(disturb_rows(["a", "b", "c"]))) == 3


def test_each_copy_of_a_repeated_row_has_noise_of_its_own():
    again = {"row_ids": ["a"] * 3, "epoch": 0, "seed": 1, "mask_token": "[MASK]"}
    text, noise = [LONG[:200]] * 3, Noise(kind=NoiseKind.mask, p=0.5)
    drawn = noisy(text, **again, noise=noise, copies=[0, 1, 2])
    assert len(set(drawn)) == 3
    assert noisy(text, **again, noise=noise, copies=[2, 0, 1]) == [drawn[2], drawn[0], drawn[1]]
    assert noisy(text, **again, noise=noise)[0] == drawn[0]  # the first is the row's own


def test_parts_of_an_address_do_not_run_into_each_other():
    assert disturb_rows(["3"], epoch=12) != disturb_rows(["23"], epoch=1)


def test_noise_at_an_address_is_the_same_in_every_version():
    text = noisy(
        ["one two three four five six seven eight"],
        row_ids=["row-7"],
        epoch=3,
        seed=1,
        noise=Noise(kind=NoiseKind.mask, p=0.4),
        mask_token="_",
    )
    assert text == ["one two _ four _ _ _ _"]


def test_no_noise_returns_the_texts_themselves():
    assert disturb_rows(["a"], kind=NoiseKind.none, p=1.0) == [LONG[:200]]
    assert disturb_rows(["a"], p=0.0) == [LONG[:200]]


def test_a_row_without_an_id_is_an_error():
    with pytest.raises(ValueError, match="shorter"):
        noisy(
            ["a", "b"],
            row_ids=["1"],
            epoch=0,
            seed=1,
            noise=Noise(kind=NoiseKind.mask, p=0.5),
            mask_token="_",
        )
