"""Makes display names of models, stages and data."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from distill_runner.config.schema import Dataset
from distill_runner.console.printable import on_one_line

_NAMED = 3  # longer lists are shortened to the first name and a count


def model_name(model: str) -> str:
    """Return the last part of a hub id or of a folder's path."""
    return on_one_line(model.rstrip("/").rsplit("/", 1)[-1])


def with_layers(model: str, layers: Sequence[int] | None) -> str:
    """Return the model's name with its layers, since teacher and student may share a checkpoint."""
    return model_name(model) if layers is None else f"{model_name(model)} ({layers_of(layers)})"


def layers_of(layers: Sequence[int]) -> str:
    """Put layers in words, such as "layers 0–2" or "layers 0, 2, 4", with non-breaking spaces.

    A model without layers is static: its word embeddings are averaged.
    """
    if not layers:
        return "static"
    in_row = list(layers) == list(range(layers[0], layers[0] + len(layers)))
    if len(layers) > 1 and in_row:
        return f"layers\u00a0{layers[0]}–{layers[-1]}"
    listed = ",\u00a0".join(map(str, layers))
    return f"layer{'s' if len(layers) > 1 else ''}\u00a0{listed}"


def stage_name(name: str) -> str:
    """Return the display name of a stage of the plan."""
    return on_one_line(name.replace("teacher/", "teacher ").replace("/", " teacher "))


def short_name(name: str) -> str:
    """Return the display name of a stage, without the word "teacher"."""
    return stage_name(name).replace("teacher ", "")


def data_name(dataset: Dataset) -> str:
    """Return the display name of a data set; for the user's files, the file's or folder's name."""
    if dataset.generate:
        return f"{dataset.name} (generated sentences)"
    own = dataset.path or dataset.hub
    return on_one_line(Path(own).name) if dataset.name == "files" and own else dataset.name


def format_count(number: int, what: str) -> str:
    """Format a count with its noun, such as "1 step" or "1,316 steps"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def join_names(names: Sequence[str]) -> str:
    """Join names in words, such as "a", "a and b" or "a, b and c"."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def shorten_list(names: Sequence[str], *, each: bool = True) -> str:
    """Join names in words; shorten a long list to its first name and a count of the others."""
    of_each = ", each" if each and len(names) > 1 else ""
    if len(names) > _NAMED:
        return f"{names[0]} and {len(names) - 1} others{of_each}"
    return f"{join_names(names)}{of_each}"


def random_line(random: Collection[str], models: Collection[str]) -> str | None:
    """Say which models start from random weights; None if there are none."""
    if not random:
        return None
    if set(random) == set(models):
        return "all start from random weights, nothing is pre-trained"
    verb = "start" if len(set(random)) > 1 else "starts"
    return f"{join_names(sorted(set(random)))} {verb} from random weights"
