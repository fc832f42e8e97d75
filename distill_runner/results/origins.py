"""The origins of a run: rows, data files, models, code and machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True, kw_only=True)
class SplitSizes:
    """The requested split; a size below 1 is a share of the rows, any other a count."""

    scheme: Annotated[str, "`random`, or `grouped`: overlapping phrases stay together"]
    train: Annotated[float | None, "null: all remaining rows"]
    quiz: Annotated[float, "rows that only bi-level methods read"]
    validation: Annotated[float | None, "null: the official file, or a tenth of the training rows"]
    test: Annotated[float | None, "null: the official file, or a tenth of the training rows"]


@dataclass(frozen=True, kw_only=True)
class TextShares:
    """What a tokenizer makes of texts."""

    cut: Annotated[float, "share of texts that are longer than `max_tokens`, 0..1"]
    unknown: Annotated[float, "share of tokens that stand for unknown words, 0..1"]


@dataclass(frozen=True, kw_only=True)
class DataResult:
    """How the data were split, and the resulting rows."""

    name: Annotated[str, "display name of the data set"]
    task: Annotated[str, "`dataset.task`, the kind of labels"]
    hub: Annotated[str | None, "its id on the Hugging Face hub; null for files"]
    subset: Annotated[str | None, "its configuration on the hub"]
    texts: Annotated[tuple[str, ...], "the text columns: one, or the two of a pair"]
    max_tokens: Annotated[int, "longer texts are cut to this many tokens"]
    split: Annotated[SplitSizes, "the requested sizes"]
    split_seed: Annotated[int, "seed of the split"]
    rows: Annotated[Mapping[str, int], "rows of every split, and dropped rows by reason"]
    left_out: Annotated[
        Mapping[str, Mapping[str, int]], "by file, rows left out because they lack a value"
    ]
    fingerprints: Annotated[Mapping[str, str], "SHA-256 of every split's ids, texts and labels"]
    classes: Annotated[tuple[str, ...], "in the order of the logits; one for regression"]
    training_texts: Annotated[
        TextShares | None, "of the training rows, by the student's tokenizer; null: not measured"
    ] = None


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The code's git checkout."""

    commit: Annotated[str, "hash"]
    dirty: Annotated[bool, "whether files differ from the commit"]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """The code, the packages and the processor that a training depends on."""

    distill_run: Annotated[str | None, "version of this package; null if it is not installed"]
    git: Annotated[Checkout | None, "null if the code is not in a checkout"]
    instruction_set: Annotated[str, "CPU instructions that PyTorch uses, such as `AVX2`"]
    processor: Annotated[str, "name of the CPU"]
    system: Annotated[str, "operating system and architecture"]
    python: Annotated[str, "version"]
    packages: Annotated[Mapping[str, str], "version of every installed package"]


@dataclass(frozen=True, kw_only=True)
class HubRevision:
    """The version of something taken from the Hugging Face hub."""

    repo: Annotated[str, "owner/name"]
    revision: Annotated[str, "commit"]


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a model's first weights, if known."""

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
    path: Annotated[str | None, "file or folder, as configured"]
    hub: Annotated[HubData | None, "null for local files"]
    revision: Annotated[HubRevision | None, "null for local files"]
    files: Annotated[Mapping[str, str], "SHA-256 of every file, by name"]


@dataclass(frozen=True, kw_only=True)
class Provenance(Surroundings):
    """Everything besides the settings that the figures depend on."""

    models: Annotated[Mapping[str, ModelSource], "by the configured name"]
    data: Annotated[Mapping[str, DataSource], "by the plan's name: `task`, `pretrain`, …"]
