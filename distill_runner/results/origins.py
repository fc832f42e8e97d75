"""What a run was made of: rows, data files, models, code and machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """The requested cut; a number below 1 is a share of the rows, any other a count."""

    scheme: Annotated[str, "`random`, or `grouped`: rows of a group stay together"]
    train: Annotated[float | None, "null: all that is left"]
    quiz: Annotated[float, "rows that only bi-level methods read"]
    validation: Annotated[float | None, "null: the data's own file, whole"]
    test: Annotated[float | None, "null: the data's own file, whole"]


@dataclass(frozen=True, kw_only=True)
class DataResult:
    """How the data were cut, and what came of it."""

    name: Annotated[str, "the data set as people know it"]
    task: Annotated[str, "what the labels are, as `dataset.task` has it"]
    hub: Annotated[str | None, "its id on the Hugging Face hub; null for files"]
    subset: Annotated[str | None, "its configuration on the hub"]
    texts: Annotated[tuple[str, ...], "the text columns: one, or the two of a pair"]
    max_tokens: Annotated[int, "longer texts are cut to this many tokens"]
    split: Annotated[SplitSizes, "the requested sizes"]
    split_seed: Annotated[int, "seed of the cut"]
    rows: Annotated[Mapping[str, int], "rows of every split, and how many were dropped and why"]
    left_out: Annotated[
        Mapping[str, Mapping[str, int]], "by file, rows left out because they lack a value"
    ]
    fingerprints: Annotated[Mapping[str, str], "SHA-256 of every split's ids, texts and labels"]
    classes: Annotated[tuple[str, ...], "in the order of the logits; one for regression"]


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The code's git checkout."""

    commit: Annotated[str, "hash"]
    dirty: Annotated[bool, "whether files differ from the commit"]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The code, the packages and the processor that a training depends on."""

    distill_run: Annotated[str | None, "version of this package; null where it is not installed"]
    git: Annotated[Checkout | None, "null where the code is no checkout"]
    instruction_set: Annotated[str, "what PyTorch uses of the CPU, such as `AVX2`"]
    processor: Annotated[str, "name of the CPU"]
    system: Annotated[str, "operating system and architecture"]
    python: Annotated[str, "version"]
    packages: Annotated[Mapping[str, str], "version of every installed package"]


@dataclass(frozen=True, kw_only=True)
class HubRevision:
    """What was taken from the Hugging Face hub."""

    repo: Annotated[str, "owner/name"]
    revision: Annotated[str, "commit"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose weights a model started from, as far as it is known."""

    base_model: Annotated[str | None, "id on the Hugging Face hub"]
    license: Annotated[str | None, "the base model's license"]


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that the run was given."""

    content: Annotated[str, "SHA-256 over its config, weights and tokenizer files"]
    revision: Annotated[HubRevision | None, "null for a local folder"]


@dataclass(frozen=True, kw_only=True)
class HubData:
    """A data set on the hub."""

    id: Annotated[str | None, "owner/name"]
    subset: Annotated[str | None, "configuration"]


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where a data set came from."""

    generated: Annotated[int, "rows of the generated corpus; 0: read from files"]
    path: Annotated[str | None, "file or folder as it was named"]
    hub: Annotated[HubData | None, "null for local files"]
    revision: Annotated[HubRevision | None, "null for local files"]
    files: Annotated[Mapping[str, str], "SHA-256 of every file, by name"]


@dataclass(frozen=True, kw_only=True)
class Provenance(Surroundings):
    """Everything outside the settings that the figures depend on."""

    models: Annotated[Mapping[str, ModelSource], "by the name that was given"]
    data: Annotated[Mapping[str, DataSource], "by the plan's name: `task`, `pretrain`, …"]
