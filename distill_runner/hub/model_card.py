"""The origin and the licence of a model, read from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from distill_runner.hub.files import hub_revision
from distill_runner.results.origins import Origin

_MOST_BYTES = 1 << 20  # of a card; a longer one is nobody's


def origin_of(name: str, folder: Path) -> Origin:
    """The hub's name of a model, and its licence, each as far as it is known.

    Args:
        name: as it was given: a hub id, or a folder.
        folder: where it was found.
    """
    revision, base_model = hub_revision(folder), None
    if revision is not None:
        base_model = revision.repo
    elif "/" in name and not Path(name).expanduser().exists():
        base_model = name
    licence = _card_data(folder / "README.md").get("license")
    return Origin(base_model=base_model, license=licence if isinstance(licence, str) else None)


def _card_data(path: Path) -> dict[str, Any]:
    """The fields of a model card; none where there is no card that can be read."""
    from huggingface_hub import ModelCard
    from yaml import YAMLError

    if not path.is_file() or path.stat().st_size > _MOST_BYTES:
        return {}
    try:
        found: dict[str, Any] = ModelCard.load(path, ignore_metadata_errors=True).data.to_dict()
    except (OSError, ValueError, YAMLError):  # anybody wrote it, and a run needs none of it
        return {}
    return found
