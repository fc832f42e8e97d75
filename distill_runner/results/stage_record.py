"""The typed form of stage.json, which the store keeps with every finished stage's model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from distill_runner.results.measurements import Training
from distill_runner.results.origins import Surroundings
from distill_runner.results.scores import Scores


@dataclass(frozen=True, kw_only=True)
class StageRecord:
    """The store's record of a finished stage.

    Names of stages are those of the plan that trained it; another plan may have other names for
    them.
    """

    key: Annotated[str, "its name in the store"]
    stage: Annotated[object, "the plan's stage, for human readers"]
    teachers: Annotated[tuple[str, ...], "stages whose students taught"]
    labels: Annotated[tuple[str, ...] | None, "output names of a classifier used as it is"]
    formula: Annotated[str, "its loss"]
    parameters: Annotated[int | None, "number of weights; null for a file of answers"]
    training: Annotated[Training, "how it was trained"]
    history: Annotated[tuple[Mapping[str, float], ...], "the figures of every epoch"]
    metrics: Annotated[Scores, "by split of the stage's own data"]
    fingerprints: Annotated[Mapping[str, str], "of the splits that affect the stage"]
    versions: Annotated[Mapping[str, str], "packages that it was trained with"]
    provenance: Annotated[Surroundings, "code and machine that trained it"]
