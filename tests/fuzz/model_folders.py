"""Model folders of three families, whole or with something wrong in them."""

from __future__ import annotations

import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fuzz.cases import FEW_ROWS, SHRUNK, Case, Place

FAMILIES = ("bert", "roberta", "distilbert")
STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 1, 3, 7.5, 10**9, 10**30, "", "x", "two", [], [1], {}, {"a": 1},
    "\u001b[31m",
)  # fmt: skip


def draw(rng: random.Random, place: Place) -> Case:
    """A folder, and the command that takes it for student or teacher."""
    family = rng.choice(FAMILIES)
    folder = place.folder / "model"
    shutil.copytree(place.ready / "models" / family, folder)
    change = rng.choice(sorted(CHANGES))
    expected = CHANGES[change](rng, folder)
    kinds = {
        "student": ["method=finetune", f"student.model={folder}"],
        "teacher": ["method=kd", "teacher=bert", f"teacher.models=[{folder}]",
                    "teacher.near_chance=allow"],
    }  # fmt: skip
    role = rng.choice(sorted(kinds))
    command = [
        *SHRUNK, *FEW_ROWS, *kinds[role], "method.baseline=never", "output_dir=out",
        f"store.dir={place.folder}/store",
    ]  # fmt: skip
    depth = "preflight" if rng.random() < 0.5 and expected != "refused" else "models"
    return Case("models", f"{family} as {role}: {change}", command, expected, depth=depth)  # type: ignore[arg-type]


def make_ready(folder: Path) -> None:
    """One small model of each family, with weights, as transformers saves it."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from distill_runner.config.schema import BuiltModel
    from distill_runner.data.synthetic import generate
    from distill_runner.models.stand_ins import build

    texts = [text for text, _ in generate(300, 1)]
    for family in FAMILIES:
        spec = BuiltModel(family, layers=2, width=16, heads=2, feedforward=24, vocabulary=400)
        build(spec, texts, folder / family, max_tokens=64)
        torch.manual_seed(1)
        config = AutoConfig.from_pretrained(folder / family, trust_remote_code=False)
        model = AutoModelForSequenceClassification.from_config(config, trust_remote_code=False)
        model.save_pretrained(folder / family)
        # A body to be fine-tuned, not a classifier that is one already.
        _edit(folder / family / "config.json", lambda found: found.pop("architectures"))


def _edit(file: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    found = json.loads(file.read_text(encoding="utf-8"))
    change(found)
    file.write_text(json.dumps(found), encoding="utf-8")


def nothing(rng: random.Random, folder: Path) -> str:  # noqa: ARG001
    return "done"


def a_strange_value(rng: random.Random, folder: Path) -> str:
    def change(found: dict[str, Any]) -> None:
        found[rng.choice(sorted(found))] = rng.choice(STRANGE)

    _edit(folder / "config.json", change)
    return "either"


def a_strange_new_key(rng: random.Random, folder: Path) -> str:
    keys = ("id2label", "label2id", "num_labels", "architectures", "auto_map", "problem_type",
            "is_decoder", "torch_dtype", "transformers_weights", "attn_implementation",
            "quantization_config", "pruned_heads", "tie_word_embeddings")  # fmt: skip
    _edit(
        folder / "config.json", lambda found: found.update({rng.choice(keys): rng.choice(STRANGE)})
    )
    return "either"


def a_strange_tokenizer_value(rng: random.Random, folder: Path) -> str:
    def change(found: dict[str, Any]) -> None:
        found[rng.choice(sorted(found))] = rng.choice(STRANGE)

    _edit(folder / rng.choice(("tokenizer_config.json", "tokenizer.json")), change)
    return "either"


def a_missing_file(rng: random.Random, folder: Path) -> str:
    file = rng.choice(sorted(folder.iterdir()))
    file.unlink()
    fatal = file.name in ("config.json", "model.safetensors")
    return "refused" if fatal else "either"


def no_vocabulary(rng: random.Random, folder: Path) -> str:  # noqa: ARG001
    for name in ("tokenizer.json", "vocab.txt", "vocab.json", "merges.txt"):
        (folder / name).unlink(missing_ok=True)
    return "refused"


def a_smaller_vocabulary_than_ids(rng: random.Random, folder: Path) -> str:
    _edit(folder / "config.json", lambda found: found.update(vocab_size=rng.randint(1, 60)))
    return "refused"


def a_cut_file(rng: random.Random, folder: Path) -> str:
    file = rng.choice(sorted(folder.iterdir()))
    content = file.read_bytes()
    file.write_bytes(content[: rng.randrange(len(content))])
    return "refused" if file.name in ("config.json", "model.safetensors") else "either"


def garbage(rng: random.Random, folder: Path) -> str:
    file = rng.choice(sorted(folder.iterdir()))
    file.write_bytes(rng.randbytes(rng.randint(0, 2000)))
    return "refused" if file.name in ("config.json", "model.safetensors") else "either"


def another_shape(rng: random.Random, folder: Path) -> str:
    file = rng.choice([path for path in sorted(folder.iterdir()) if path.suffix == ".json"])
    file.write_text(rng.choice(("[]", "[1, 2]", "null", "7", '"x"', "{}", "[" * 5000 + "]" * 5000)))
    return "refused" if file.name == "config.json" else "either"


def code_of_its_own(rng: random.Random, folder: Path) -> str:
    hostile = (
        "import pathlib\npathlib.Path('escaped').write_text('ran')\nclass M: pass\nclass C: pass\n"
    )
    (folder / "hostile.py").write_text(hostile)
    names = {"AutoConfig": "hostile.C", "AutoModelForSequenceClassification": "hostile.M",
             "AutoTokenizer": ["hostile.M", None]}  # fmt: skip
    _edit(folder / "config.json", lambda found: found.update(auto_map=names))
    _edit(folder / "tokenizer_config.json", lambda found: found.update(auto_map=names))
    if rng.random() < 0.5:
        _edit(folder / "config.json", lambda found: found.update(model_type="unheard-of"))
        return "refused"
    return "either"


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path("escaped").write_text, ("ran",))


def a_hostile_pickle(rng: random.Random, folder: Path) -> str:  # noqa: ARG001
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": _Hostile()}))
    return "refused"


def weights_of_another_shape(rng: random.Random, folder: Path) -> str:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    name = rng.choice(sorted(weights))
    weights[name] = weights[name].flatten()[:-1].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return "either"


CHANGES: dict[str, Callable[[random.Random, Path], str]] = {
    "nothing": nothing,
    "a strange value": a_strange_value,
    "a strange new key": a_strange_new_key,
    "a strange value of the tokenizer": a_strange_tokenizer_value,
    "a missing file": a_missing_file,
    "no vocabulary": no_vocabulary,
    "a vocabulary smaller than the ids": a_smaller_vocabulary_than_ids,
    "a cut file": a_cut_file,
    "garbage": garbage,
    "JSON of another shape": another_shape,
    "code of its own": code_of_its_own,
    "a hostile pickle": a_hostile_pickle,
    "weights of another shape": weights_of_another_shape,
}
