"""Models and data sets are found in folders, in the cache or on the hub, or refused soon."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from support.hub import DATASET, MODEL
from support.hub_server import Hub, black_hole, closed_port, serve_hub

from distill_runner.errors import Refused
from distill_runner.hub import download, files, locate


@pytest.fixture
def no_network(point_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub must not even be probed."""
    point_at(closed_port())
    monkeypatch.setattr(locate, "find_hub_fault", lambda _: pytest.fail("the hub was asked"))


def find_model(model: str, models_dir: Path | None = None) -> Path:
    return locate.locate_model(model, models_dir=models_dir, key="student.model")


def find_data(subset: str | None = "sst2", datasets_dir: Path | None = None) -> Path:
    return locate.locate_dataset(
        DATASET, subset=subset, datasets_dir=datasets_dir, key="dataset.hub"
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def write(file: Path, text: str = "x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file.parent


@pytest.mark.usefixtures("no_network")
def test_an_existing_folder_is_the_model(tiny_model: Path) -> None:
    assert find_model(str(tiny_model)) == tiny_model


@pytest.mark.usefixtures("no_network")
def test_a_folder_without_config_is_not_a_model_folder(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"not a model folder(.|\n)*student\.model"):
        find_model(str(tmp_path))


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    write(tmp_path / "config.json", text)
    with pytest.raises(Refused, match=r"config\.json (is not JSON|does not hold a JSON object)"):
        find_model(str(tmp_path))
    with pytest.raises(Refused, match=r"config\.json"):
        locate.read_config(tmp_path)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("model", ["./none", "../none", "/none/such", "~/none-such", "~no-one/x"])
def test_a_path_that_does_not_exist_never_asks_the_hub(model: str) -> None:
    with pytest.raises(Refused, match="There is no folder"):
        find_model(model)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("model", ["", "a/b/c", "two words", "outputs/store/x/model"])
def test_what_cannot_be_an_id_never_asks_the_hub(model: str) -> None:
    with pytest.raises(Refused):
        find_model(model)


@pytest.mark.usefixtures("no_network")
def test_the_whole_id_goes_before_its_last_part(tmp_path: Path) -> None:
    last = write(tmp_path / "tiny" / "config.json", "{}")
    assert find_model(MODEL, tmp_path) == last
    whole = write(tmp_path / MODEL / "config.json", "{}")
    assert find_model(MODEL, tmp_path) == whole


def test_a_models_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"paths\.models"):
        find_model(MODEL, tmp_path / "none")


@pytest.mark.usefixtures("no_network")
def test_a_subset_is_looked_for_in_three_places_in_order(tmp_path: Path) -> None:
    for place in ("sst2", "glue/sst2", "nyu-mll/glue/sst2"):
        folder = write(tmp_path / place / "train.tsv")
        assert find_data("sst2", tmp_path) == folder


@pytest.mark.usefixtures("no_network")
def test_without_a_subset_the_id_and_its_last_part_are_tried(tmp_path: Path) -> None:
    for place in ("glue", "nyu-mll/glue"):
        folder = write(tmp_path / place / "train.csv")
        assert find_data(None, tmp_path) == folder


@pytest.mark.usefixtures("no_network")
def test_a_folder_of_several_subsets_asks_which(tmp_path: Path) -> None:
    write(tmp_path / "glue" / "sst2" / "train.tsv")
    write(tmp_path / "glue" / "mrpc" / "train.tsv")
    with pytest.raises(Refused, match="its subsets: mrpc, sst2"):
        find_data(None, tmp_path)


@pytest.mark.usefixtures("no_network")
def test_a_folder_without_data_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "sst2" / "readme.txt")
    with pytest.raises(Refused, match="has no data files"):
        find_data("sst2", tmp_path)


def test_a_model_comes_from_the_hub_once_and_then_from_the_cache(
    served: Hub, tiny_model: Path
) -> None:
    folder = find_model(MODEL)
    assert names(folder) == names(tiny_model)
    assert locate.model_fingerprint(folder) == locate.model_fingerprint(tiny_model)
    assert not served.files_sent & {"pytorch_model.bin", "README.md"}
    served.requests.clear()
    assert find_model(MODEL) == folder
    assert served.requests == []


@pytest.mark.usefixtures("served")
def test_without_safetensors_the_pytorch_weights_are_fetched(hub_root: Path) -> None:
    (hub_root / "models" / MODEL / "model.safetensors").unlink()
    assert "pytorch_model.bin" in names(find_model(MODEL))


def test_a_partly_filled_cache_counts_as_empty(
    served: Hub, point_at: Callable[[str], None]
) -> None:
    weights = find_model(MODEL) / "model.safetensors"
    weights.unlink()
    point_at(closed_port())
    with pytest.raises(Refused, match="not in the hub's cache"):
        find_model(MODEL)
    point_at(served.url)
    assert find_model(MODEL) == weights.parent
    assert weights.is_file()


@pytest.mark.usefixtures("no_network")
def test_a_cache_that_another_program_filled_is_judged_by_its_files(
    tmp_path: Path, tiny_model: Path
) -> None:
    storage = tmp_path / "hf" / "hub" / "models--google-bert--tiny"
    write(storage / "refs" / "main", "0" * 40)
    snapshot = shutil.copytree(tiny_model, storage / "snapshots" / ("0" * 40))
    assert find_model(MODEL) == snapshot
    (snapshot / "model.safetensors").rename(snapshot / "model-00001-of-00002.safetensors")
    with pytest.raises(pytest.fail.Exception, match="the hub was asked"):
        find_model(MODEL)


def test_the_config_alone_comes_without_the_weights_and_fills_no_cache(served: Hub) -> None:
    folder = locate.locate_model(MODEL, models_dir=None, key="teacher.models", config_only=True)
    assert locate.is_classifier(folder)
    assert served.files_sent == {"config.json"}
    assert (find_model(MODEL) / "model.safetensors").is_file()


def test_a_subset_comes_from_the_hub_without_its_siblings(served: Hub) -> None:
    folder = find_data("sst2")
    files = {"train-00000-of-00001.parquet", "validation-00000-of-00001.parquet"}
    assert folder.name == "sst2"
    assert names(folder) == files
    assert served.files_sent == {f"sst2/{name}" for name in files}
    served.requests.clear()
    assert find_data("sst2") == folder
    assert served.requests == []


def test_a_data_set_with_one_folder_needs_no_subset(served: Hub, hub_root: Path) -> None:
    shutil.rmtree(hub_root / "datasets" / DATASET / "mrpc")
    write(hub_root / "datasets" / DATASET / "dataset_infos.json", "{}")
    assert names(find_data(None)) >= {"train-00000-of-00001.parquet"}
    assert "dataset_infos.json" not in served.files_sent


@pytest.mark.usefixtures("served")
def test_an_unknown_subset_names_the_known_ones() -> None:
    with pytest.raises(Refused, match=r"no folder 'sst3'.*its subsets: mrpc, sst2"):
        find_data("sst3")


@pytest.mark.usefixtures("served")
def test_an_unknown_id_is_refused_as_unknown() -> None:
    with pytest.raises(Refused, match="knows no model 'nobody/nothing'"):
        find_model("nobody/nothing")


def test_a_gated_model_asks_for_a_token(served: Hub) -> None:
    served.gated[MODEL] = 403
    with pytest.raises(Refused, match=r"gated.*HF_TOKEN"):
        find_model(MODEL)


@pytest.mark.parametrize("status", [401, 403])
def test_a_private_id_asks_for_a_token(served: Hub, status: int) -> None:
    served.private[MODEL] = status
    with pytest.raises(Refused, match=r"refuses access to.*HF_TOKEN"):
        find_model(MODEL)


def test_a_repository_without_weights_is_refused(served: Hub, hub_root: Path) -> None:
    for name in ("model.safetensors", "pytorch_model.bin"):
        (hub_root / "models" / MODEL / name).unlink()
    with pytest.raises(Refused, match="has no weights"):
        find_model(MODEL)
    assert served.files_sent == set()


def test_a_hub_that_is_down_is_refused_at_once(served: Hub) -> None:
    served.broken = 503
    with pytest.raises(Refused, match="status 503"):
        find_model(MODEL)
    assert len(served.requests) == 1


def test_no_network_names_the_ways_out(point_at: Callable[[str], None]) -> None:
    point_at(closed_port())
    start = time.monotonic()
    with pytest.raises(Refused) as model:
        find_model(MODEL)
    with pytest.raises(Refused) as data:
        find_data("sst2")
    assert time.monotonic() - start < 5
    for way_out in ("paths.models=DIR where DIR/tiny", "student.model", "cache", "profile=tiny"):
        assert way_out in str(model.value)
    for way_out in (
        "dataset.path=FOLDER",
        "paths.datasets=DIR where DIR/glue/sst2",
        "profile=tiny",
    ):
        assert way_out in str(data.value)


def test_offline_mode_is_respected(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Refused, match="HF_HUB_OFFLINE"):
        find_model(MODEL)
    assert served.requests == []


def test_a_silent_hub_is_given_up(
    point_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.2)
    with black_hole() as url:
        point_at(url)
        with pytest.raises(Refused, match=r"cannot be reached \(ReadTimeout"):
            find_model(MODEL)


def test_a_host_name_that_never_resolves_is_given_up(
    point_at: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr("socket.getaddrinfo", lambda *_, **__: time.sleep(3))
    point_at("http://slow.invalid")
    with pytest.raises(Refused, match=r"no answer within 0\.2 s"):
        find_model(MODEL)


@pytest.mark.parametrize("stall", ["listing", "model.safetensors"])
def test_a_download_that_stalls_is_given_up_and_leaves_no_process(
    served: Hub, stall: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[subprocess.Popen[str]] = []
    popen = subprocess.Popen

    def recorded(*args: object, **options: object) -> subprocess.Popen[str]:
        children.append(popen(*args, **options))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(subprocess, "Popen", recorded)
    monkeypatch.setattr(download, "STALL_SECONDS", 1.0)
    served.stall = stall
    with pytest.raises(Refused, match=r"stopped sending google-bert/tiny: nothing for 1 s"):
        find_model(MODEL)
    assert [child.poll() is None for child in children] == [False]
    served.stall = None
    monkeypatch.setattr(download, "STALL_SECONDS", 30.0)
    assert names(find_model(MODEL)) >= {"model.safetensors"}


def test_a_slow_download_is_not_taken_for_a_stalled_one(
    served: Hub, hub_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "STALL_SECONDS", 2.0)
    served.pause = 0.6
    file = hub_root / "datasets" / DATASET / "sst2" / "train-00000-of-00001.parquet"
    file.write_bytes(bytes(4 * 2**16))
    assert (find_data("sst2") / file.name).stat().st_size == 4 * 2**16


def test_an_endless_download_stops_at_the_announced_size(
    served: Hub, tmp_path: Path, tiny_model: Path
) -> None:
    served.endless = "model.safetensors"
    with pytest.raises(Refused, match=r"sends more of google-bert/tiny than it announced"):
        find_model(MODEL)
    assert download._bytes_under(tmp_path / "hf") < 1 << 20
    served.endless = None
    assert names(find_model(MODEL)) == names(tiny_model)


def test_a_download_larger_than_the_disk_is_not_begun(served: Hub) -> None:
    served.claims, served.pause = 10**18, 0.5
    with pytest.raises(Refused, match=r"announces .* GB for google-bert/tiny, more than the disk"):
        find_model(MODEL)


def run_outside(code: str, endpoint: str, home: Path, **environment: str) -> tuple[str, float]:
    """Run `code` in a fresh process that knows its hub by the environment alone."""
    hidden = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_TOKEN", "HF_HUB_CACHE"}
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", "from distill_runner.hub import locate\n" + code],
        env={**inherited, "HF_ENDPOINT": endpoint, "HF_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr, time.monotonic() - start


FIND = f"print(locate.locate_model({MODEL!r}, models_dir=None, key='student.model'))"


def test_a_silent_hub_is_refused_within_20_seconds(tmp_path: Path) -> None:
    with black_hole() as url:
        said, seconds = run_outside(FIND, url, tmp_path)
    assert "cannot be reached" in said
    assert seconds < 20


def test_the_environment_names_hub_and_cache(hub_root: Path, tmp_path: Path) -> None:
    with serve_hub(hub_root) as running:
        said, _ = run_outside(FIND, running.url, tmp_path / "home")
    folder = Path(said.splitlines()[0])
    assert folder.is_relative_to(tmp_path / "home" / "hub")
    assert locate.read_config(folder)["model_type"] == "bert"
    said, _ = run_outside(FIND, closed_port(), tmp_path / "home", HF_HUB_OFFLINE="1")
    assert said.strip() == str(folder)


def test_the_hubs_client_is_not_imported_before_it_is_needed(tiny_model: Path) -> None:
    code = (
        f"import sys; locate.locate_model({str(tiny_model)!r}, models_dir=None, key='a')\n"
        "print([name for name in ('huggingface_hub', 'torch') if name in sys.modules])"
    )
    said, _ = run_outside(code, closed_port(), tiny_model)
    assert said.strip() == "[]"


def test_a_fingerprint_follows_contents_and_names_but_not_the_place(
    tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    before = locate.model_fingerprint(copy)
    assert before == locate.model_fingerprint(tiny_model)
    write(copy / "README.md")
    write(copy / "optimizer.pt")
    assert locate.model_fingerprint(copy) == before
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        shutil.copy(tiny_model / name, copy / name)
        with open(copy / name, "ab") as file:
            file.write(b" ")
        assert locate.model_fingerprint(copy) != before


def set_config(folder: Path, **settings: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


def test_a_fingerprint_follows_the_weights_that_the_config_names(
    tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    (copy / "weights").mkdir()
    shutil.copy(copy / "model.safetensors", copy / "weights" / "other.safetensors")
    set_config(copy, transformers_weights="weights/other.safetensors")
    before = locate.model_fingerprint(copy)
    write(copy / "weights" / "other.safetensors")
    named = locate.model_fingerprint(copy)
    assert named != before
    write(copy / "model.safetensors")  # which nobody reads
    assert locate.model_fingerprint(copy) == named


def test_a_fingerprint_follows_the_files_that_an_index_names(
    tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    (copy / "model.safetensors").rename(copy / "part.safetensors")
    index = copy / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "part.safetensors", "b": "part.safetensors"}}))
    before = locate.model_fingerprint(copy)
    write(copy / "part.safetensors")
    assert locate.model_fingerprint(copy) != before


@pytest.mark.parametrize("name", ["../tiny.safetensors", "/etc/hostname", "", 3])
def test_weights_outside_of_the_models_folder_are_refused(
    name: object, tiny_model: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    set_config(copy, transformers_weights=name)
    with pytest.raises(Refused, match="outside its folder"):
        locate.model_fingerprint(copy)
    set_config(copy, transformers_weights="x.index.json")
    (copy / "x.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(Refused, match="outside its folder"):
        locate.model_fingerprint(copy)


def test_a_fingerprint_reads_an_unchanged_file_once(tiny_model: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(tiny_model, tmp_path / "copy")
    first = locate.model_fingerprint(copy)
    read = files._digest.cache_info().misses
    assert locate.model_fingerprint(copy) == first
    assert files._digest.cache_info().misses == read


def test_a_real_model_loads_from_where_it_was_found(served: Hub) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    folder = find_model(MODEL)
    served.requests.clear()
    tokens = AutoTokenizer.from_pretrained(folder)("good bad", return_tensors="pt")
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    assert model(**tokens).logits.shape == (1, 2)
    assert json.loads((folder / "config.json").read_text())["hidden_size"] == 8
    assert served.requests == []


def test_a_folder_that_vanishes_while_it_is_measured_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distill_runner.hub import download

    for name in ("kept", "gone"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(b"12345")
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("gone"):
            raise FileNotFoundError(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert download._bytes_under(tmp_path) == 5


def test_a_corpus_on_the_hub_is_read_for_texts_without_labels(
    served: Hub, hub_root: Path, tmp_path: Path
) -> None:
    from datasets import Dataset
    from support.tiny import run

    # As wikimedia/wikipedia lies there: one folder a language, no validation, no labels.
    articles = [f"the plot of film {at} is good and not slow" for at in range(40)]
    columns = {"id": articles, "url": articles, "title": articles, "text": articles}
    for language in ("simple", "en"):
        folder = hub_root / "datasets" / "wikimedia" / "wikipedia" / f"20231101.{language}"
        folder.mkdir(parents=True)
        Dataset.from_dict(columns).to_parquet(folder / "train-00000-of-00001.parquet")
    run(
        tmp_path / "run",
        tmp_path / "store",
        "distilbert",
        "dataset.unlabelled.hub=wikimedia/wikipedia",
        "dataset.unlabelled.subset=20231101.simple",
        "dataset.unlabelled.text=text",
        "dataset.unlabelled.generate=0",
    )
    found = json.loads((tmp_path / "run" / "result.json").read_text())
    assert found["status"] == "finished"
    assert found["data"]["rows"]["unlabelled"] == 40
    asked = [line for line in served.requests if "wikipedia" in line and "/resolve/" in line]
    assert asked
    assert not [line for line in asked if "20231101.en" in line]
