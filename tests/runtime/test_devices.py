"""Rules for every device: the same tests on a GPU, and on the CPU by the GPU's code path."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from support.learners import NewLearner
from support.tiny import run
from torch.nn.attention import SDPBackend, sdpa_kernel

from distill_runner.methods.pilot import finite_difference, jvp
from distill_runner.training import loop

# torch's own dropout and padded batches, as on a GPU.
GPU_ROUTE = ("runtime.cheap_dropout=false", "runtime.leave_padding_out=false")
on_every_device = pytest.mark.parametrize(
    "device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
)


@pytest.fixture(autouse=True)
def _device_is_there(request: pytest.FixtureRequest) -> None:
    asked = request.node.callspec.params.get("device") if hasattr(request.node, "callspec") else ""
    if asked == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device is available")


def on(device: str) -> tuple[str, ...]:
    return (*GPU_ROUTE, f"runtime.device={device}", "runtime.precision=float32")


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    found = {}
    for path in sorted((folder / "student").rglob("*.safetensors")):
        part = path.relative_to(folder).as_posix()
        found |= {f"{part}/{name}": weight for name, weight in load_file(path).items()}
    assert found
    return found


@on_every_device
@pytest.mark.parametrize(
    "method", ["kd", "metadistil", "tmkd", "noisy_student", "mutual", "distilbert"]
)
def test_every_kind_of_method_trains(method: str, device: str, tmp_path: Path) -> None:
    run(tmp_path / "run", tmp_path / "store", method, *on(device), "training.max_steps=30")
    assert all(weight.isfinite().all() for weight in weights_of(tmp_path / "run").values())


@on_every_device
@pytest.mark.parametrize("method", ["finetune", "kd", "metadistil"])
def test_a_run_that_was_interrupted_ends_with_the_same_bits(
    method: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (*on(device), "method.baseline=never", "training.epochs=3")
    run(tmp_path / "whole", tmp_path / "store-1", method, *asked)
    step = loop.Loop.step

    def interrupted(trainer: loop.Loop, *args: object) -> None:
        step(trainer, *args)  # type: ignore[arg-type]
        if trainer.progress.step == 11:  # teachers make eight
            signal.raise_signal(signal.SIGINT)

    # An interrupt is ignored behind an & of a shell, and stays so.
    monkeypatch.setattr(signal, "getsignal", lambda _: signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(loop.Loop, "step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "again", tmp_path / "store-2", method, *asked)
    run(tmp_path / "again", tmp_path / "store-2", method, *asked)
    assert "resumes after step 11" in (tmp_path / "again" / "log.txt").read_text()
    whole, again = weights_of(tmp_path / "whole"), weights_of(tmp_path / "again")
    assert whole.keys() == again.keys()
    assert all(weight.equal(again[name]) for name, weight in whole.items())


@on_every_device
def test_the_directional_derivative_is_the_difference_under_one_dropout_mask(
    device: str, new_learner: NewLearner, texts: list[str]
) -> None:
    student = new_learner(dropout=0.3)
    student.module.to(device)
    tokens = student.encoder.tokenize(texts)["input_ids"]
    inputs = student.on_device(
        student.encoder.pad({"input_ids": tokens}),  # type: ignore[dict-item]
        torch.device(device),
    )

    def forward() -> torch.Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            torch.manual_seed(7)
            return student.logits(inputs)

    torch.manual_seed(1)
    direction = {name: torch.randn_like(weight) for name, weight in student.trainable()}
    exact = jvp(forward, student, direction)
    near = finite_difference(forward, student, direction, length=1e-4)
    torch.testing.assert_close(exact, near, rtol=1e-4, atol=1e-5)
    torch.manual_seed(2)
    assert not torch.equal(forward(), student.logits(inputs))  # dropout is on


@pytest.mark.gpu
def test_a_gpu_answers_in_float32_as_the_cpu_does(
    new_learner: NewLearner, texts: list[str]
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device is available")
    student = new_learner(dtype=torch.float32)
    student.module.eval()
    tokens = student.encoder.tokenize(texts)["input_ids"]
    padded = student.encoder.pad({"input_ids": tokens})  # type: ignore[dict-item]
    with torch.no_grad():
        expected = student.logits(padded)
        student.module.to("cuda")
        found = student.logits(student.on_device(padded, torch.device("cuda"))).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
