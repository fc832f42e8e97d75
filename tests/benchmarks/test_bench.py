"""The benchmark: fair races, correct arithmetic, and a record at the end. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import io
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.algorithms import with_defaults
from support.learners import NewLearner
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks import attention, coverage, figures, operations, pairs, rounded
from benchmarks.contender import Gate
from benchmarks.efficiency import Stopwatch, weights_by_use
from benchmarks.options import Options, parse
from benchmarks.peers.double_backward import teacher_gradients
from benchmarks.peers.trainer import HfTrainer, _turns
from benchmarks.product import Product
from benchmarks.sampling import Batch, choose_positions, chunk_of
from benchmarks.setting import Setting, open_setting
from benchmarks.worker import make_contender
from distill_runner.config.schema import BuiltModel, Combine
from distill_runner.data.encoding import Inputs
from distill_runner.data.synthetic import generate
from distill_runner.errors import Refused
from distill_runner.evaluation.metrics.estimate import Estimate, estimate
from distill_runner.methods import batch as micro_batch
from distill_runner.methods.batch import Address, Quiz
from distill_runner.methods.metadistil import MetaDistil
from distill_runner.models.fast import attention as fast_attention
from distill_runner.models.learner import Learner
from distill_runner.models.stand_ins import build
from distill_runner.models.teachers import LiveTeachers
from distill_runner.objectives.ensemble import Ensemble
from distill_runner.tasks.classification import Classification

needs_accelerate = pytest.mark.skipif(
    importlib.util.find_spec("accelerate") is None, reason="accelerate is not installed"
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pre-trained model in name only: two layers, 16 wide, random."""
    from transformers import AutoConfig, AutoModel

    folder = tmp_path_factory.mktemp("bench") / "tiny"
    spec = BuiltModel("bert", layers=2, width=16, heads=2, feedforward=24, vocabulary=400)
    build(spec, [text for text, _ in generate(200, 1)], folder, max_tokens=64)
    torch.manual_seed(1)
    AutoModel.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def options(tiny: Path) -> Options:
    output = tiny.parent / "out" / "kd"
    output.mkdir(parents=True)
    return Options(
        "kd",
        model=str(tiny),
        student_layers=1,
        rows=128,
        rounds=1,
        steps=1,
        max_tokens=64,
        output=str(output),
        cache=str(tiny.parent / "cache"),
        overrides=("method.soft_loss=soft_ce",),  # TextBrewer's, with T²
    )


@pytest.fixture(scope="module")
def setting(options: Options) -> Setting:
    return open_setting(options, "kd")


# --- fairness ----------------------------------------------------------------------------


def test_the_double_backward_peer_moves_the_teacher_as_we_do(new_learner: NewLearner) -> None:
    student, teacher = new_learner("bert", seed=1), new_learner("bert", seed=2)
    teacher.module.eval()
    algorithm = with_defaults(MetaDistil, pilot_learning_rate=0.05, quiz_batch=None)
    batch = inputs(student, ["a good film", "no", "dull, slow and bad"])
    quiz = inputs(student, ["not bad", "the worst film of the year"])
    labels, quiz_labels = torch.tensor([1, 0, 0]), torch.tensor([1, 0])

    seen = micro_batch.Batch(
        student=student,
        student_inputs=batch,
        task=Classification(),
        labels=labels,
        teachers=LiveTeachers(
            [teacher], Ensemble(Combine.logit_mean, (1.0,)), torch.device("cpu"), trained=[0]
        ),
        ids=["a", "b", "c"],
        teacher_inputs=lambda: [batch],
        draw_quiz=lambda _: Quiz((quiz,), quiz_labels),
        address=Address(1, 0, 0),
    )
    weights = [weight for _, weight in teacher.trainable()]
    ours = torch.autograd.grad(next(algorithm.updates(seen)).loss, weights)
    with sdpa_kernel(SDPBackend.MATH):
        theirs = teacher_gradients(
            student.module,
            teacher.module,
            {**batch, "labels": labels},
            {**quiz, "labels": quiz_labels},
            algorithm=algorithm,
        )
    norm = torch.cat([part.flatten() for part in ours]).norm()
    apart = torch.cat([(a - b).flatten() for a, b in zip(ours, theirs, strict=True)]).norm()
    assert norm > 1e-6
    assert apart / norm < 1e-10


@needs_accelerate
def test_the_trainers_loss_is_ours(setting: Setting, tmp_path: Path) -> None:
    peer = make_contender("trainer-dynamic", setting, tmp_path)
    assert isinstance(peer, HfTrainer)
    assert peers_loss(peer) == pytest.approx(our_loss(setting, tmp_path), rel=1e-5)


@pytest.mark.filterwarnings("ignore::SyntaxWarning")  # in TextBrewer's source
@pytest.mark.parametrize("style", ["padded", "dynamic"])
def test_textbrewers_loss_is_ours(style: str, setting: Setting, tmp_path: Path) -> None:
    if importlib.util.find_spec("textbrewer") is None:
        pytest.skip("TextBrewer is not installed")
    peer = make_contender(f"textbrewer-{style}", setting, tmp_path)
    assert peers_loss(peer) == pytest.approx(our_loss(setting, tmp_path), rel=1e-5)


def inputs(learner: Learner, texts: list[str]) -> Inputs:
    columns = learner.encoder.tokenize(texts)
    return learner.encoder.pad({"input_ids": [np.asarray(r) for r in columns["input_ids"]]})


def our_loss(setting: Setting, folder: Path) -> float:
    product = Product(setting, folder)
    job = product.loop.job
    rows = np.arange(8)
    product.student.module.eval()
    taught = job.teachers.join(job.teachers.logits(job.rows.ids[:8], list), 2.0)
    loss, _ = job.algorithm.distillation_loss(  # type: ignore[attr-defined]
        Classification(),
        product.student.logits(job.rows.student.inputs(rows, 0)),
        taught,
        torch.from_numpy(job.rows.labels[rows]),
    )
    return float(loss.detach())


def peers_loss(peer: object) -> float:
    peer.student.eval()  # type: ignore[attr-defined]
    return float(peer.loss(peer.texts.batch(range(8))).detach())  # type: ignore[attr-defined]


def test_a_pause_of_the_trainer_lies_between_two_chunks() -> None:
    said: list[str] = []

    class Notes(Gate):
        def wait(self) -> None:
            said.append("wait")

        def report(self, batches: list[Batch]) -> None:
            said.append(f"{len(batches)} steps")

        def stay(self) -> None:
            said.append("stay")

    one = Batch(0, 0, np.arange(4), 4, 4)
    turns = _turns(Notes(io.StringIO(), io.StringIO()), [[one, one], [one]])
    next(turns)
    for step in range(3):
        said.append(f"step {step}")
        next(turns, None)
    assert said == ["wait", "step 0", "step 1", "2 steps", "wait", "step 2", "1 steps", "stay"]


def test_whoever_is_done_stays_until_everyone_is() -> None:
    asks = io.StringIO("go\ngo\n")
    Gate(asks, io.StringIO()).stay()
    assert asks.read() == ""


# --- what a chunk stands for -------------------------------------------------------------


def test_representative_entries_cover_the_costs_evenly() -> None:
    costs = np.random.default_rng(1).permutation(100)
    drawn = costs[choose_positions(costs, np.full(5, 0.5))]
    assert sorted(drawn.tolist()) == [10, 30, 50, 70, 90]


def test_over_the_rounds_every_part_of_a_bin_has_its_turn() -> None:
    costs = np.arange(40)
    drawn = [costs[choose_positions(costs, (r + np.arange(4)) % 10 / 10)] for r in range(10)]
    assert sorted(np.concatenate(drawn).tolist()) == costs.tolist()


def test_a_chunk_costs_what_its_epoch_costs() -> None:
    generator = np.random.default_rng(1)
    lengths = generator.integers(3, 60, size=3200)
    order = np.split(generator.permutation(3200), 100)
    chunk = chunk_of(0, order, lengths, width=None, offsets=np.full(10, 0.5))
    epoch = np.mean([32 * lengths[rows].max() for rows in order])
    assert np.mean([batch.padded for batch in chunk]) == pytest.approx(epoch, rel=0.02)


def test_a_short_batch_is_left_out_wherever_it_stands() -> None:
    order = [np.arange(2), np.arange(2, 6), np.arange(6, 10)]
    chunk = chunk_of(0, order, np.full(10, 5), width=None, offsets=np.full(2, 0.5))
    assert [batch.at for batch in chunk] == [1, 2]
    assert [batch.padded for batch in chunk] == [20, 20]


def test_the_warm_chunk_meets_every_shape_that_is_timed(setting: Setting, tmp_path: Path) -> None:
    warm, *timed = Product(setting, tmp_path).chunks(rounds=2, steps=2)
    assert {b.padded for b in warm} == {b.padded for chunk in timed for b in chunk}


def test_a_chunk_longer_than_an_epoch_is_refused() -> None:
    with pytest.raises(Refused, match="--steps"):
        choose_positions(np.arange(3), np.full(4, 0.5))


# --- arithmetic --------------------------------------------------------------------------


def test_a_projection_adds_what_is_done_once_to_what_is_done_each_epoch() -> None:
    facts = {
        "tokenise_seconds": 3.0,
        "teacher_seconds": 50.0,
        "order_seconds": 0.5,
        "steps_per_epoch": 100,
    }
    assert figures.projected_seconds(facts, 0.2, 3) == pytest.approx(3 + 50 + 3 * (0.5 + 20))


def test_a_ratio_is_of_all_rounds_together() -> None:
    def turn(seconds: float) -> dict[str, float]:
        same = {"steps": 1, "rows": 32, "tokens": 1, "peak_bytes": 7}
        return {"seconds": seconds, "cpu_seconds": seconds, **same}

    rounds = [
        {"turns": {"ours": turn(mine), "peer": turn(theirs)}}
        for mine, theirs in ((1, 2), (10, 30), (1, 8))
    ]
    found = figures.summary("peer", rounds)
    assert (found["ratio"], found["ratio_low"], found["ratio_high"]) == (40 / 12, 2, 8)


def test_a_function_inside_another_counts_for_itself_only() -> None:
    clock = Stopwatch()
    inner = clock.timed("inner", lambda: time.sleep(0.05))
    clock.timed("outer", inner)()
    assert clock.seconds["inner"] >= 0.05
    assert clock.seconds["outer"] < clock.seconds["inner"]


def test_useful_weights_are_all_but_the_embeddings(new_learner: NewLearner) -> None:
    learner = new_learner("bert")
    module = learner.module
    embeddings = sum(w.numel() for w in module.base_model.embeddings.parameters())  # type: ignore[union-attr, operator]
    everywhere, once = weights_by_use(learner)
    assert everywhere + once == learner.parameters - embeddings
    assert once > 0


def test_operations_are_gathered_into_kinds() -> None:
    seconds = {"aten::mm": 2.0, "aten::bmm": 1.0, "aten::random_": 0.5, "aten::exotic": 0.5}
    shares = operations.by_kind(seconds)
    assert shares == {"matrix products": 0.75, "dropout masks": 0.125, "aten::exotic": 0.125}


# --- coverage ----------------------------------------------------------------------------


def test_the_interval_holds_the_gain_of_generated_data_about_as_often_as_it_says() -> None:
    case = coverage.Case(seeds=4, clusters=100, deviation=0.005)
    generator = np.random.default_rng(3)
    held = [coverage._two_way(coverage.draw(case, generator)) for _ in range(300)]
    assert 0.91 <= np.mean(held) <= 0.99  # 300 draws have a standard error of 0.013


# --- pairs -------------------------------------------------------------------------------


def spread(*points: float) -> Estimate:
    """A difference in points, equal on all of many clusters, by seed."""
    return estimate(np.repeat(np.array(points)[:, None] / 100, 50, axis=1))


def test_a_lever_is_not_inferior_only_where_the_whole_interval_is_above_the_margin() -> None:
    # Clusters that all agree leave Student's interval over five seeds: mean -+ 2.776 s / sqrt(5).
    close = pairs.verdict(spread(0.1, 0.0, -0.1, 0.1, -0.1))
    assert "+0.00 points" in close or "-0.00 points" in close
    assert "[-0.12, +0.12]" in close
    assert close.endswith("; not inferior and equal at a margin of 0.3 points.")
    wide = pairs.verdict(spread(0.5, -0.5, 0.4, -0.4, 0.0))
    assert "not shown to be not inferior at a margin" in wide
    assert "too few for a statement" in pairs.verdict(spread(3.0))
    assert "too few for a statement" in pairs.verdict(spread(3.0, 3.1))


def test_the_sides_of_a_pair_differ_in_what_is_named_and_nothing_else(tiny: Path) -> None:
    asked = ["--model", str(tiny), "--set", "training.epochs=1"]
    options = parse(["pairs", *asked, "--reference", "training.batching=random"])
    lever, reference = (pairs.overrides(options, 3, s) for s in (options.lever, options.reference))
    assert set(reference) ^ set(lever) == {"training.batching=random"}
    assert "seed=3" in lever
    # What is typed goes before our own.
    assert lever.index("training.epochs=3") < lever.index("training.epochs=1")


def test_pairs_are_whole_runs_scored_on_rows_left_over(tmp_path: Path) -> None:
    sizes = ["--rows", "200", "--test-rows", "150", "--seeds", "2"]
    small = ["--set", "dataset.generate=500", "--set", "dataset.split.validation=50"]
    asked = ["--method", "finetune", "--lever", "runtime.cheap_dropout=false", *sizes, *small]
    output = tmp_path / "pairs"
    done = bench("pairs", *asked, "--output", str(output), "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record = json.loads((output / "record.json").read_text())
    lever, reference = record["raw"]["2"]["lever"], record["raw"]["2"]["reference"]
    assert lever["trained_on"] == reference["trained_on"] == 200
    assert lever["rows"] == reference["rows"] == 150
    assert lever["key"] != reference["key"]
    points = 100 * (lever["accuracy"] - reference["accuracy"])
    assert record["differences"] == [pytest.approx(points)]


# --- the command -------------------------------------------------------------------------


def test_a_race_leaves_a_record_and_a_table(tiny: Path, tmp_path: Path) -> None:
    asked = ["metadistil", "--against", "double-backward-dynamic", "--model", str(tiny)]
    sizes = ["--student-layers", "1", "--rows", "64", "--rounds", "1", "--steps", "1"]
    output = tmp_path / "metadistil"
    folders = ["--output", str(output), "--cache", str(tmp_path)]
    done = bench(*asked, *sizes, *folders, "--max-tokens", "64")
    assert done.returncode == 0, done.stderr
    written = (output / "record.json").read_text() + (output / "README.md").read_text()
    assert str(tmp_path) not in written  # no folder of this machine
    record = json.loads((output / "record.json").read_text())
    (only,) = record["raw"]["rounds"]
    assert set(only["turns"]) == set(only["order"]) == {"ours", "double-backward-dynamic"}
    assert all(turn["rows"] == 32 for turn in only["turns"].values())
    assert record["summary"]["ours"]["ratio"] == 1
    assert not [path for path in output.iterdir() if path.is_dir()]  # no scratch is left
    assert "| double-backward-dynamic |" in (output / "README.md").read_text()


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["--model", "nowhere"], "--model"),
        (["--set", "training.epoch=3"], "training.epoch"),
        (["--rounds", "0"], "--rounds"),
        (["--precision", "float32", "bfloat16"], "--precision"),
    ],
)
def test_what_cannot_be_met_is_refused(asked: list[str], says: str, tmp_path: Path) -> None:
    done = bench("kd", "--output", str(tmp_path / "kd"), *asked)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pair_without_a_difference_is_refused(tmp_path: Path) -> None:
    same = ["--lever", "seed=1", "--reference", "seed=1"]
    for asked in ([], same, ["--method", "kdd", "--lever", "training.batching=random"]):
        done = bench("pairs", "--output", str(tmp_path / "pairs"), *asked)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr


def test_options_survive_the_way_to_a_worker() -> None:
    options = parse(["kd", "--set", "seed=2", "--epochs", "1", "2"])
    assert Options.from_json(options.to_json()) == options
    assert replace(options, rows=1) != options


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=root)


def test_products_of_bfloat16_are_those_of_float32_rounded_once() -> None:
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(3, 64, 64, generator=generator).bfloat16() for _ in range(2))
    bias = torch.randn(64, generator=generator).bfloat16()
    doubles = [part.double() for part in (left, right)]
    library = rounded.install()
    try:
        found = [left[0] @ right[0], torch.addmm(bias, left[0], right[0]), left @ right]
        exact = doubles[0] @ doubles[1]
    finally:
        library._destroy()
    expected = [exact[0], bias.double() + exact[0], exact]
    assert exact.dtype is torch.float64
    for product, wanted in zip(found, expected, strict=True):
        assert product.dtype is torch.bfloat16
        # A bfloat16 has eight bits: half a unit of the last is 2^-8 of the number.
        torch.testing.assert_close(product.double(), wanted, rtol=2**-8, atol=1e-5)


def test_the_attention_race_makes_the_same_steps_on_both_paths(tiny: Path, tmp_path: Path) -> None:
    options = replace(
        Options(command="attention", method="kd", model=str(tiny), student_layers=1),
        rows=64,
        rounds=2,
        steps=1,
        max_tokens=32,
        cache=str(tmp_path),
    )
    found = attention.measure_paths(options, tmp_path, long=True)
    assert found["tokens"] > 16
    assert len(found["ratios"]) == 2
    assert min(found["fused"], found["plain"], *found["ratios"]) > 0
    assert {torch.bfloat16} == fast_attention.PLAIN_WITH_GRADIENT
