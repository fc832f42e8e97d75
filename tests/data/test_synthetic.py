import hashlib
import re
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pytest

from distill_runner.data import synthetic
from distill_runner.data.synthetic import generate
from distill_runner.errors import Refused

ROWS = 4000


@pytest.fixture(scope="module")
def corpus():
    return generate(ROWS, 1)


@pytest.fixture(scope="module")
def truthful():
    """Rows whose every label is meant."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "LABEL_NOISE", 0.0)
        return generate(20_000, 1)


def digest(corpus):
    return hashlib.blake2b(repr(corpus).encode(), digest_size=8).hexdigest()


def labels_where(pattern, corpus):
    return [label for text, label in corpus if re.search(pattern, text)]


def test_the_same_arguments_give_the_same_rows(corpus):
    assert generate(ROWS, 1) == corpus


def test_another_process_gives_the_same_rows():
    program = (
        "import hashlib; from distill_runner.data.synthetic import generate; "
        "print(hashlib.blake2b(repr(generate(300, 5)).encode(), digest_size=8).hexdigest())"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": "7"},
    )
    assert answer.stdout.strip() == digest(generate(300, 5))


def test_another_seed_gives_other_rows(corpus):
    shared = {text for text, _ in corpus} & {text for text, _ in generate(ROWS, 2)}
    assert len(shared) < ROWS / 4


@pytest.mark.parametrize("rows", [0, 1, 7, 1000])
def test_the_rows_asked_for_come_back_balanced(rows):
    counts = Counter(label for _, label in generate(rows, 3))
    assert counts[0] + counts[1] == rows
    assert 0 <= counts[0] - counts[1] <= 1


def test_no_text_comes_twice(corpus):
    assert len({text for text, _ in corpus}) == ROWS


def test_a_negative_number_of_rows_is_refused():
    with pytest.raises(Refused, match=r"dataset\.generate"):
        generate(-1, 1)


def test_texts_are_sentences_of_review_length(corpus):
    lengths = [len(text.split()) for text, _ in corpus]
    assert all(text[0].isupper() and text.endswith(".") for text, _ in corpus)
    assert min(lengths) >= 3
    assert max(lengths) <= 40
    assert 6 < np.mean(lengths) < 15


def test_no_frame_is_left_unfilled(corpus):
    assert not any(re.search(r"[{}|]|  ", text) for text, _ in corpus)


def test_the_vocabulary_is_several_hundred_words_with_a_rare_tail(corpus):
    counts = Counter(word for text, _ in corpus for word in re.findall(r"[a-z]+", text.lower()))
    assert 400 < len(counts) < 800
    assert sum(count < 20 for count in counts.values()) > 50


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_label_noise_is_the_share_of_labels_that_contradict_their_text(monkeypatch, share):
    monkeypatch.setattr(synthetic, "LABEL_NOISE", share)
    labels = labels_where(
        r"^(I|We all|My friends) (loved|liked|enjoyed) the \w+\.$", generate(ROWS, 1)
    )
    assert len(labels) > 20
    assert 1 - np.mean(labels) == pytest.approx(share, abs=0.2 * (share > 0))


GOOD, BAD = (
    "(good|nice|great|wonderful|decent|clever|pleasant)",
    "(bad|slow|awful|boring|terrible|poor|uneven)",
)


@pytest.mark.parametrize(
    ("pattern", "label"),
    [
        (rf"^The \w+ is {GOOD}\.$", 1),
        (rf"^The \w+ is not {GOOD}\.$", 0),
        (rf"^The \w+ is not {BAD}\.$", 1),
        (rf"^The \w+ (was never|is hardly) {GOOD}\.$", 0),
        (r"^The \w+ lacks (charm|wit|warmth)\.$", 0),
        (r"^The \w+ (is|was) (hopeful|tasteful|thoughtful|unforgettable)\.$", 1),
        (r"^The \w+ (is|was) (hopeless|tasteless|thoughtless|unconvincing)\.$", 0),
        (rf"^The \w+ \w+ {BAD}, but the \w+ (charms|moves|rewards|\w+ {GOOD})", 1),
        (rf"^The \w+ \w+ {GOOD}, but the \w+ (bores|annoys|tires|\w+ {BAD})", 0),
        (rf"^The \w+ \w+ {GOOD}, although the ", 1),
        (r"^Nobody can claim that (I|we all) (enjoyed|liked|loved) the \w+\.$", 0),
    ],
)
def test_negation_contrast_and_morphemes_decide_the_label(truthful, pattern, label):
    found = labels_where(pattern, truthful)
    assert found, "the pattern is to be met"
    assert set(found) == {label}


def test_ten_thousand_rows_take_about_a_second():
    start = time.process_time()
    generate(10_000, 1)
    assert time.process_time() - start < 3.0
