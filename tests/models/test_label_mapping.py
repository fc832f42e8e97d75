"""Labels are mapped by name, and names that say nothing are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.learners import NewLearner

from distill_runner.errors import Refused
from distill_runner.models import loading, saving
from distill_runner.models.label_mapping import columns_for
from distill_runner.models.learner import Learner
from distill_runner.tasks.classification import Classification
from distill_runner.tasks.regression import Regression


def saved(new_learner: NewLearner, folder: Path, own: list[str]) -> Learner:
    """A trained classifier on disk whose outputs are called `own`."""
    learner = new_learner(classes=len(own), dtype=torch.float32)
    saving.save(learner, folder, classes=own)
    return learner


def loaded(folder: Path, classes: list[str], **changes: object) -> Learner:
    return loading.load_trained(
        folder,
        name="bert",
        task=Regression() if len(classes) == 1 else Classification(),
        classes=classes,
        max_tokens=24,
        key="teacher.models",
        **changes,  # type: ignore[arg-type]
    )


def test_labels_in_the_same_order_need_no_mapping() -> None:
    assert columns_for(["neg", "pos"], ["neg", "pos"], name="bert") is None


def test_labels_in_another_order_are_found_by_name() -> None:
    own = ["entailment", "neutral", "contradiction"]
    assert columns_for(["contradiction", "entailment", "neutral"], own, name="mnli") == (2, 0, 1)


def test_capitals_do_not_matter() -> None:
    assert columns_for(["negative", "positive"], ["NEGATIVE", "Positive"], name="bert") is None
    assert columns_for(["negative", "positive"], ["POSITIVE", "NEGATIVE"], name="bert") == (1, 0)


def test_outputs_that_the_data_has_no_class_for_are_left_out() -> None:
    assert columns_for(["neg", "pos"], ["neg", "neutral", "pos"], name="bert") == (0, 2)
    assert columns_for(["neg", "pos"], ["neg", "pos", "neutral"], name="bert") == (0, 1)


def test_numbered_labels_are_refused_with_the_key_to_set() -> None:
    with pytest.raises(Refused, match="does not say which") as caught:
        columns_for(["neg", "pos"], ["LABEL_0", "LABEL_1"], name="bert")
    assert caught.value.key == "teacher.labels"
    assert "teacher.labels=[neg,pos]" in str(caught.value)


def test_an_unknown_label_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="does not know the label 'neutral'") as caught:
        columns_for(["neg", "neutral", "pos"], ["neg", "pos"], name="bert")
    assert caught.value.key == "dataset.label_names"


def test_a_learner_answers_in_the_datas_order(new_learner: NewLearner, tmp_path: Path) -> None:
    own = ["pos", "neutral", "neg"]
    straight = saved(new_learner, tmp_path / "m", own)
    mapped = loaded(tmp_path / "m", ["neg", "pos"])
    inputs = {"input_ids": torch.tensor([[2, 9, 3]]), "attention_mask": torch.ones(1, 3).long()}
    with straight.evaluating(), mapped.evaluating(), torch.no_grad():
        expected, found = straight.logits(inputs), mapped.logits(inputs)
    assert not mapped.in_data_order
    torch.testing.assert_close(found, expected[:, [2, 0]])


def test_a_saved_learner_keeps_its_own_order_and_names(
    new_learner: NewLearner, tmp_path: Path
) -> None:
    saved(new_learner, tmp_path / "first", ["pos", "neg"])
    mapped = loaded(tmp_path / "first", ["neg", "pos"])
    saving.save(mapped, tmp_path / "second", classes=["neg", "pos"])
    again = loaded(tmp_path / "second", ["neg", "pos"])
    assert not again.in_data_order
    assert again.module.config.id2label == {0: "pos", 1: "neg"}


def test_a_learner_in_the_datas_order_is_saved_with_the_datas_names(
    new_learner: NewLearner, tmp_path: Path
) -> None:
    saved(new_learner, tmp_path / "m", ["dull", "warm"])
    again = loaded(tmp_path / "m", ["dull", "warm"])
    assert again.in_data_order
    assert again.module.config.label2id == {"dull": 0, "warm": 1}


def test_numbered_outputs_can_be_named(new_learner: NewLearner, tmp_path: Path) -> None:
    saved(new_learner, tmp_path / "m", ["LABEL_0", "LABEL_1"])
    with pytest.raises(Refused, match=r"teacher\.labels"):
        loaded(tmp_path / "m", ["neg", "pos"])
    named = loaded(tmp_path / "m", ["neg", "pos"], labels=["pos", "neg"])
    assert not named.in_data_order


@pytest.mark.parametrize("labels", [["neg"], ["neg", "pos"], ["neg", "pos", "a", "b"]])
def test_names_must_be_as_many_as_the_outputs(
    new_learner: NewLearner, tmp_path: Path, labels: list[str]
) -> None:
    saved(new_learner, tmp_path / "m", ["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(Refused, match="3 outputs") as caught:
        loaded(tmp_path / "m", ["neg", "pos"], labels=labels)
    assert caught.value.key == "teacher.labels"


def test_the_one_output_of_a_regressor_needs_no_name(
    new_learner: NewLearner, tmp_path: Path
) -> None:
    own = saved(new_learner, tmp_path, ["LABEL_0"])
    found = loaded(tmp_path, ["score"])
    inputs = own.encoder.pad({"input_ids": own.encoder.tokenize(["a good film"])["input_ids"]})  # type: ignore[dict-item]
    with own.evaluating(), found.evaluating(), torch.no_grad():
        assert torch.allclose(own.logits(inputs), found.logits(inputs))


@pytest.mark.parametrize(("own", "classes"), [(["a", "b"], ["score"]), (["a"], ["a", "b"])])
def test_a_classifier_gives_no_score_and_a_regressor_no_class(
    new_learner: NewLearner, tmp_path: Path, own: list[str], classes: list[str]
) -> None:
    saved(new_learner, tmp_path, own)
    with pytest.raises(Refused) as caught:
        loaded(tmp_path, classes)
    assert caught.value.key == "dataset.task"
