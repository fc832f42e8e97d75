"""Translates names from other tools, and finds the known name nearest to a typo."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from distill_runner.command_line.help import group_names
from distill_runner.config.compose import LISTS, option_names

# The last parts of a key, by their names in other tools; case and `_` are ignored.
_KEYS = {
    **dict.fromkeys(("lr", "rate", "learnrate", "eta"), "learning_rate"),
    **dict.fromkeys(("epoch", "numepochs", "nepochs", "numtrainepochs", "ep"), "epochs"),
    **dict.fromkeys(("bs", "batch", "perdevicetrainbatchsize", "trainbatchsize"), "batch_size"),
    **dict.fromkeys(("steps", "maxstep", "numsteps", "iterations"), "max_steps"),
    **dict.fromkeys(("wd", "decay", "l2"), "weight_decay"),
    **dict.fromkeys(("warmup", "warmupratio", "warmupproportion"), "warmup_fraction"),
    **dict.fromkeys(("scheduler", "lrscheduler", "lrschedulertype", "lrschedule"), "schedule"),
    **dict.fromkeys(("clip", "gradclip", "maxgradnorm", "clipgradnorm"), "clip_norm"),
    **dict.fromkeys(("gradientaccumulationsteps", "accumulation", "gradaccum"), "accumulate"),
    **dict.fromkeys(("t", "temp", "tau", "kdtemperature"), "temperature"),
    **dict.fromkeys(("kdalpha", "lambda", "kdweight", "softweight"), "alpha"),
    **dict.fromkeys(("maxlen", "maxlength", "maxseqlength", "maxseqlen", "seqlen"), "max_tokens"),
    **dict.fromkeys(("textcolumn", "textcol", "textfield", "sentence"), "dataset.text"),
    **dict.fromkeys(("labelcolumn", "labelcol", "labelfield", "target"), "dataset.label"),
    **dict.fromkeys(("labels", "classes", "classnames", "labelnames"), "dataset.label_names"),
    **dict.fromkeys(("metric", "evalmetric", "scoring"), "dataset.metrics"),
    **dict.fromkeys(("val", "validationsize", "valsize", "devsize"), "split.validation"),
    **dict.fromkeys(("testsize", "testsplit", "testfraction"), "split.test"),
    **dict.fromkeys(("trainsize", "trainrows", "numtrain", "samples"), "split.train"),
    **dict.fromkeys(
        ("output", "out", "outdir", "outputfolder", "outputpath", "savedir", "logdir", "resultdir"),
        "output_dir",
    ),
    **dict.fromkeys(("cache", "cachedir", "storedir"), "store.dir"),
    **dict.fromkeys(("modelsdir", "modeldir", "modelpath", "modelspath"), "paths.models"),
    **dict.fromkeys(("randomseed", "rng", "manualseed"), "seed"),
    **dict.fromkeys(("jobs", "njobs", "workers", "numworkers", "nproc"), "runtime.processes"),
    **dict.fromkeys(("cores", "ncores", "cpus", "numthreads"), "runtime.threads"),
    **dict.fromkeys(("dtype",), "runtime.precision"),
    **dict.fromkeys(("plan", "plans", "check"), "dry_run"),
    **dict.fromkeys(("overwrite", "overwriteoutputdir", "retrain"), "force"),
    **dict.fromkeys(("wandbproject", "projectname"), "tracker.project"),
    **dict.fromkeys(("numlayers", "nlayers", "studentlayers"), "student.layers"),
    **dict.fromkeys(("noiseprob", "noiseprobability", "probability"), "noise.p"),
    **dict.fromkeys(("kdloss", "softloss", "loss"), "soft_loss"),
}  # fmt: skip
# The order in which the sections of the configuration are searched.
_ORDER = ("training", "method", "dataset", "student", "teacher", "runtime", "tracker", "store")
# Names that no key corresponds to, and why.
NOT_SET = {
    **dict.fromkeys(
        ("numlabels", "numclasses", "nclasses"), "the classes are taken from the labels"
    ),
    **dict.fromkeys(("optimizer", "optim", "optimiser"), "AdamW is the only optimiser"),
    **dict.fromkeys(
        ("resume", "resumefrom", "resumefromcheckpoint", "continue"),
        "running the same command again resumes the run",
    ),
    **dict.fromkeys(
        ("dotrain", "doeval", "dopredict", "train", "verbose", "evaluate", "run", "start"),
        "every run trains and evaluates",
    ),
    **dict.fromkeys(
        ("patience", "earlystopping"), "training.select=best_validation keeps the best epoch"
    ),
}  # fmt: skip

_OFF = ("false", "0", "no", "none", "off", "null", "")
_SST2, _TINY = ("sst", "sst2", "glue", "stanfordsentiment"), ("small", "test", "debug", "quick")
_OPTIONS = {
    "method": {
        **dict.fromkeys(("distill", "distillation", "hinton", "vanilla", "standard"), "kd"),
        **dict.fromkeys(("none", "train", "ft", "supervised", "baseline"), "finetune"),
        **dict.fromkeys(("dml", "peers"), "mutual"),
        **dict.fromkeys(("takd", "ta"), "assistant"),
        **dict.fromkeys(("ban",), "born_again"),
        **dict.fromkeys(("noisy", "selftraining"), "noisy_student"),
        **dict.fromkeys(("meta",), "metadistil"),
    },
    "dataset": {
        **dict.fromkeys(_SST2, "sst2"),
        **dict.fromkeys(("csv", "file", "custom", "own", "local", "mydata"), "files"),
        **dict.fromkeys(("toy", "fake", "dummy", "generated", "tiny"), "synthetic"),
    },
    "tracker": {
        **dict.fromkeys(("false", "off", "no", "null", "disabled", "offline"), "none"),
        **dict.fromkeys(("tensorboard", "csv", "json", "local", "file", "tb"), "jsonl"),
        **dict.fromkeys(("true", "on", "yes", "wb", "online", "weightsandbiases"), "wandb"),
    },
    "runtime": {**dict.fromkeys(("cuda", "cuda0", "a100"), "gpu"), "mps": "cpu"},
    "profile": {**dict.fromkeys(_TINY, "tiny"), "default": "full"},
    "noise": {
        **dict.fromkeys(("false", "off", "no", "null", "0"), "none"),
        **dict.fromkeys(("true", "on", "yes", "word", "replace"), "replace_word"),
        **dict.fromkeys(("drop", "deletion"), "delete"),
        **dict.fromkeys(("masking",), "mask"),
    },
}  # fmt: skip
_HUB_DATA = {
    "imdb": "dataset.hub=stanfordnlp/imdb",
    "agnews": "dataset.hub=fancyzhx/ag_news",
    "yelp": "dataset.hub=fancyzhx/yelp_polarity",
    "yelppolarity": "dataset.hub=fancyzhx/yelp_polarity",
}
_HUB_MODELS = {
    **{f"bert{size}": f"prajjwal1/bert-{size}" for size in ("tiny", "mini", "small", "medium")},
    "electra": "google/electra-small-discriminator",
    "albert": "albert-base-v2",
    "deberta": "microsoft/deberta-v3-base",
    **{f"bert{size}": f"bert-{size}-uncased" for size in ("base", "large")},
    **{f"roberta{size}": f"roberta-{size}" for size in ("base", "large")},
    "distilbertbase": "distilbert-base-uncased",
    "gpt2": "gpt2",
}
_DATA_FILE = re.compile(r".*\.(csv|tsv|jsonl?|parquet|txt)", re.IGNORECASE)


def fold_name(name: str) -> str:
    """Reduce a name to lower-case letters and digits."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name closest to a word; None if none is close."""
    names = {fold_name(name): name for name in known}
    found = difflib.get_close_matches(fold_name(word), list(names), n=1, cutoff=cutoff)
    return names[found[0]] if found else None


def settings_for(key: str, value: str, keys: Sequence[str]) -> list[str] | None:
    """Return the settings most likely meant by a key that does not exist.

    Args:
        key: the unknown key.
        value: the value typed for it.
        keys: all keys of the configuration, in full.
    """
    *parents, name = key.split(".")
    rewrite = (
        _REWRITES.get(fold_name(name)) if not parents or parents[0] not in group_names() else None
    )
    if rewrite is not None:
        return rewrite(value)
    if (
        parents
        and fold_name(name) in ("name", "type", "kind", "id")
        and parents[-1] in group_names()
    ):
        return as_option(parents[-1], value)
    misspelt = None if parents else closest(name, group_names(), 0.8)
    if misspelt is not None:
        return as_option(misspelt, value) or None
    found = _key_for(parents, name, keys)
    if found is None:
        return None
    group = found.partition(".")[0]
    if found in ("student.model", "teacher.models") and value in option_names(group):
        return [f"{group}={value}"]
    return [f"{found}={shape_value(found, value)}"]


def _key_for(parents: Sequence[str], name: str, keys: Sequence[str]) -> str | None:
    """Return the key most likely meant: first exact names and aliases, then similar ones."""
    meant = [_KEYS[fold_name(name)]] if fold_name(name) in _KEYS else []
    below = [key for key in keys if parents and key.startswith(".".join(parents) + ".")]
    for among, cutoff in ((below, 0.8), (keys, 1.0), (below, 0.6), (keys, 0.75)):
        for asked in (*meant, name):
            tail = [fold_name(part) for part in asked.split(".")]
            fits = [k for k in among if [fold_name(p) for p in k.split(".")][-len(tail) :] == tail]
            if fits:
                return min(fits, key=lambda key: _distance(parents, key))
        last = closest(name, [key.rpartition(".")[2] for key in among], cutoff)
        if last is not None:
            fits = [key for key in among if key.rpartition(".")[2] == last]
            return min(fits, key=lambda key: _distance(parents, key))
    return None


def _distance(parents: Sequence[str], key: str) -> tuple[int, int, int]:
    """Return a sort key: similarity to the typed parents, the usual section, the depth."""
    parts = key.split(".")
    near = sum(closest(parent, parts[:-1], 0.8) is not None for parent in parents)
    place = _ORDER.index(parts[0]) if parts[0] in _ORDER else -1 if len(parts) == 1 else len(_ORDER)
    return -near, place, len(parts)


def shape_value(key: str, value: str) -> str:
    """Return the value in the form that the key takes: in brackets if it is a list."""
    if key == "student.layers" and value.isdigit() and 0 < int(value) < 100:
        return f"[{','.join(map(str, range(int(value))))}]"
    listed = key in LISTS and not key.endswith(".text") and not value.startswith(("[", "$"))
    if listed and fold_name(value) not in ("null", "none"):
        return f"[{value}]"
    return value


def as_option(group: str, value: str) -> list[str]:
    """Return the settings most likely meant by an option that a group does not have."""
    known, near = option_names(group), fold_name(value)
    meant = _OPTIONS.get(group, {}).get(near)
    meant = meant or next((name for name in known if _parts(name) == _parts(value)), None)
    if meant is not None:
        return [f"{group}={meant}"]
    if group == "dataset" and (near in _HUB_DATA or _is_path(value) or "/" in value):
        return _data(value)
    if group == "teacher" and near in ("none", "null", "no", "false", "0"):
        return ["method=finetune"]
    if group in ("teacher", "student") and (near in _HUB_MODELS or re.search(r"[/\\]|-", value)):
        return _model(group, value)
    if group == "noise" and re.fullmatch(r"0?\.\d+", value):
        return ["noise=replace_word", f"noise.p={value}"]
    typo = closest(value, known, 0.75) or next((o for o in known if o.startswith(value)), None)
    if typo is not None:
        return [f"{group}={typo}"]
    if group == "dataset":
        return _data(value)
    return _model(group, value) if group in ("teacher", "student") else []


def _parts(option: str) -> list[str]:
    """Return the sorted parts of an option such as bert+roberta."""
    return sorted(fold_name(part) for part in option.split("+"))


def _is_path(value: str) -> bool:
    return (
        value.startswith((".", "/", "~", "\\"))
        or re.match(r"[A-Za-z]:[\\/]", value) is not None
        or _DATA_FILE.fullmatch(value) is not None
        or os.path.exists(value)  # Path.exists raises for names that are too long
    )


def _data(value: str) -> list[str]:
    if _is_path(value):
        return ["dataset=files", f"dataset.path={value}"]
    known = _HUB_DATA.get(fold_name(value), f"dataset.hub={value}")
    return ["dataset=files", "dataset.path=null", known]


def _model(group: str, value: str) -> list[str]:
    named = value if _is_path(value) else _HUB_MODELS.get(fold_name(value), value)
    if group == "student":
        return [f"student.model={named}"]
    return ["teacher=bert", f"teacher.models=[{named}]"]


def _switch(on: str, off: str) -> Callable[[str], list[str]]:
    return lambda value: [off if value.lower() in _OFF else on]


def _group(group: str) -> Callable[[str], list[str]]:
    return lambda value: as_option(group, value)


def _seeds(value: str) -> list[str]:
    listed = value.strip("[]")
    return ["-m", f"seed={listed}"] if "," in listed else [f"seed={listed}"]


_ON_GPU, _ON_CPU = "runtime.device=cuda", "runtime.device=cpu"
_HALF, _WHOLE = "runtime.precision=bfloat16", "runtime.precision=float32"
# Names whose translation depends on the value.
_REWRITES: Mapping[str, Callable[[str], list[str]]] = {
    **dict.fromkeys(("wandb", "usewandb", "log"), _switch("tracker=wandb", "tracker=none")),
    **dict.fromkeys(("reportto", "logger", "logging", "tracking"), _group("tracker")),
    **dict.fromkeys(("gpu", "gpus", "ngpu", "usegpu", "cuda"), _switch(_ON_GPU, _ON_CPU)),
    **dict.fromkeys(("cpu", "nocuda", "usecpu", "nogpu"), _switch(_ON_CPU, _ON_GPU)),
    **dict.fromkeys(("fp16", "bf16", "amp", "half", "mixedprecision"), _switch(_HALF, _WHOLE)),
    **dict.fromkeys(
        ("model", "studentmodel", "studentname", "modelname", "modelnameorpath", "basemodel"),
        _group("student"),
    ),
    **dict.fromkeys(("teachermodel", "teachername", "teachers", "teacherpath"), _group("teacher")),
    **dict.fromkeys(
        ("data", "datasetname", "datapath", "datadir", "trainfile", "traindata", "csv", "file",
         "input", "task", "taskname", "corpus", "path", "datafile", "datasets"),
        _group("dataset"),
    ),
    **dict.fromkeys(("algorithm", "algo", "mode", "strategy"), _group("method")),
    **dict.fromkeys(("tiny", "debug", "smoke", "fast"), _switch("profile=tiny", "profile=full")),
    "seeds": _seeds,
}  # fmt: skip
# Values in other tools, by the last part of their key.
VALUES: Mapping[str, Mapping[str, str]] = {
    "device": {"gpu": "cuda", "cuda0": "cuda", "0": "cuda", "mps": "cpu", "true": "cuda"},
    "precision": {
        **dict.fromkeys(("fp16", "bf16", "16", "half", "float16"), "bfloat16"),
        **dict.fromkeys(("fp32", "32", "float", "full"), "float32"),
    },
    "kind": {"false": "none", "off": "none"},
    "select": {"best": "best_validation", "true": "best_validation", "false": "last"},
    "metrics": {"acc": "accuracy", "f1score": "f1", "f1macro": "macro_f1", "mcc": "matthews"},
    "task": {"multiclass": "classification", "binary": "classification", "scores": "regression"},
    "schedule": {"none": "constant", "warmup": "linear", "cos": "cosine"},
}  # fmt: skip
