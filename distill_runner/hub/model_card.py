"""Reads the origin and the licence of a model from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill_runner.hub.files import hub_revision
from distill_runner.results.origins import Origin

_MOST_BYTES = 1 << 20  # longest card that is read


def origin_of(name: str, folder: Path) -> Origin:
    """Return a model's id on the hub and its licence, each None if unknown.

    Args:
        name: the model as configured: a hub id or a folder.
        folder: the folder in which it was found.
    """
    revision, base_model = hub_revision(folder), None
    if revision is not None:
        base_model = revision.repo
    # A name without a slash may be a folder of the user's own under `paths.models`.
    elif "/" in name and not Path(name).expanduser().exists():
        base_model = name
    licence = _card_data(folder / "README.md").get("license")
    return Origin(base_model=base_model, license=licence if isinstance(licence, str) else None)


def _card_data(path: Path) -> dict[str, Any]:
    """Return the fields of a model card; empty if there is no readable card."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return {}
    try:
        found: dict[str, Any] = ModelCard.load(path, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError, YAMLError):  # a malformed card must not stop a run
        return {}
    return found
