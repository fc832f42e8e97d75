"""Reads the record of a finished stage from the store."""

from __future__ import annotations

from distill_runner.results.stage_record import StageRecord
from distill_runner.results.typed_json import Malformed, from_json
from distill_runner.storage.integrity import Damaged
from distill_runner.storage.store import Artifact


def read_record(artifact: Artifact) -> StageRecord:
    """Return the artifact's stage.json.

    Raises:
        Damaged: the artifact differs from what was written, or stage.json has another form.
    """
    try:
        return from_json(StageRecord, artifact.facts())
    except Malformed as malformed:
        raise Damaged(artifact.folder, f"stage.json: {malformed}") from malformed
