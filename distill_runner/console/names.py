"""Display names of models, stages and data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from distill_runner.config.schema import Dataset
from distill_runner.console.printable import on_one_line

_NAMED = 3  # of more names the first one is told


def model_name(model: str) -> str:
    """The last part of a hub id or of a folder."""
    return on_one_line(model.rstrip("/").rsplit("/", 1)[-1])


def with_layers(model: str, layers: Sequence[int] | None) -> str:
    """The same, and which layers of it: teacher and student may be of one checkpoint."""
    return f"{model_name(model)} ({layers_of(layers)})" if layers else model_name(model)


def layers_of(layers: Sequence[int]) -> str:
    """Such as "layer 0", "layers 0–2" or "layers 0, 2, 4", which stay on one line."""
    in_row = list(layers) == list(range(layers[0], layers[0] + len(layers)))
    if len(layers) > 1 and in_row:
        return f"layers\u00a0{layers[0]}–{layers[-1]}"
    listed = ",\u00a0".join(map(str, layers))
    return f"layer{'s' if len(layers) > 1 else ''}\u00a0{listed}"


def stage_name(name: str) -> str:
    """The plan's name of a stage, as a screen has it."""
    return on_one_line(name.replace("teacher/", "teacher ").replace("/", " teacher "))


def short_name(name: str) -> str:
    """A teacher's name without what says that it is one; another stage's as it is."""
    return stage_name(name).replace("teacher ", "")


def data_name(dataset: Dataset) -> str:
    """A data set's name; of one's own files, that of the file or folder."""
    if dataset.generate:
        return f"{dataset.name} (generated sentences)"
    own = dataset.path or dataset.hub
    return on_one_line(Path(own).name) if dataset.name == "files" and own else dataset.name


def counted(number: int, what: str) -> str:
    """Such as "1 step" or "1,316 steps"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Such as "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def together(names: Sequence[str], *, each: bool = True) -> str:
    """The names, or the first of many and how many others, of which something holds."""
    of_each = ", each" if each and len(names) > 1 else ""
    if len(names) > _NAMED:
        return f"{names[0]} and {len(names) - 1} others{of_each}"
    return f"{listed(names)}{of_each}"


def random_line(random: Collection[str], models: Collection[str]) -> str | None:
    """Which of the models begin as random weights; None where none does."""
    if not random:
        return None
    if set(random) == set(models):
        return "all start from random weights, nothing is pre-trained"
    verb = "start" if len(set(random)) > 1 else "starts"
    return f"{listed(sorted(set(random)))} {verb} from random weights"
