"""A full or read-only disk: the message names the file, the folder and what to do."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import SafetensorError
from support.tiny import run

from distill_runner.errors import DistillError, Refused
from distill_runner.storage import disk

SAFETENSORS = "Error while serializing: I/O error: No space left on device (os error 28)"


def places(folder: Path) -> dict[str, Path]:
    return {"store.dir": folder / "store", "output_dir": folder / "out"}


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root may mount a file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_store_on_a_full_disk_is_named_with_the_file_and_what_is_free(
    full: Path, tmp_path: Path
) -> None:
    (full / "ballast").write_bytes(bytes(150_000))
    with pytest.raises(DistillError) as stopped:
        run(tmp_path / "out", full / "store", "finetune")
    said = str(stopped.value)
    assert stopped.value.exit_status == 1
    assert said.startswith(f"{full}/store/")
    assert "the disk is full" in said
    assert f"store.dir = '{full}/store': 0." in said
    assert "MB are free" in said
    assert "store.dir=FOLDER on another disk" in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_write_that_names_no_file_is_found_by_who_made_it(tmp_path: Path, number: int) -> None:
    def write(path: Path) -> None:
        assert not path.exists()
        raise OSError(number, os.strerror(number))

    with pytest.raises(OSError, match=re.escape(os.strerror(number))) as stopped:
        write(tmp_path / "out" / "log.txt")
    said = str(disk.explain_os_error(stopped.value, places(tmp_path)))
    assert f"{tmp_path}/out/log.txt cannot be written" in said
    assert "output_dir=FOLDER on another disk" in said
    assert "MB are free" in said


def test_a_full_disk_is_known_by_the_words_of_a_library_too() -> None:
    found = disk.find_os_error(SafetensorError(SAFETENSORS))
    assert found is not None
    assert found.errno == errno.ENOSPC
    wrapped = RuntimeError("file write failed")
    wrapped.__context__ = OSError(errno.EFBIG, "File too large")
    assert disk.find_os_error(wrapped) is wrapped.__context__
    assert disk.find_os_error(ValueError("no such class")) is None


@pytest.mark.parametrize(
    "number", [errno.EROFS, errno.EACCES, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ENOENT]
)
def test_a_folder_that_cannot_be_made_is_refused_by_its_key(tmp_path: Path, number: int) -> None:
    error = OSError(number, os.strerror(number), str(tmp_path / "out"))
    refused = disk.explain_os_error(error, places(tmp_path))
    assert isinstance(refused, Refused)
    assert refused.key == "output_dir"
    assert "try:  output_dir=FOLDER" in str(refused)


@pytest.mark.parametrize(
    ("number", "way_out"), [(errno.EMFILE, "ulimit -n"), (errno.EFBIG, "ulimit -f")]
)
def test_a_limit_of_the_shell_says_how_it_is_raised(
    tmp_path: Path, number: int, way_out: str
) -> None:
    assert way_out in str(disk.explain_os_error(OSError(number, "no"), places(tmp_path)))


def test_a_name_that_is_too_long_is_refused_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "distill_runner", "profile=tiny", "dry_run=true"]
    asked = subprocess.run(
        [*command, "tracker=none", f"output_dir={tmp_path}/{'x' * 300}"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert asked.returncode == 2
    assert "Traceback" not in asked.stderr
    assert "try:  output_dir=FOLDER" in asked.stderr


def test_a_checkpoint_beyond_the_largest_file_names_itself(tmp_path: Path) -> None:
    from distill_runner.training import checkpoint

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match=r"checkpoint\.pt") as stopped:
            checkpoint.save(tmp_path / "checkpoint.pt", {"a": "x" * 100_000})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert stopped.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_an_error_that_was_being_handled_is_not_the_cause_of_another() -> None:
    fault = ZeroDivisionError("a fault of ours")
    fault.__context__ = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert disk.find_os_error(fault) is None
    fault.__cause__ = fault.__context__
    assert disk.find_os_error(fault) is fault.__cause__


def test_a_folder_beside_the_store_is_not_in_it() -> None:
    error = OSError(errno.ENOSPC, "No space left", "/nowhere/store2/x")
    said = str(disk.explain_os_error(error, {"store.dir": Path("/nowhere/store")}))
    assert "/nowhere/store2/x cannot be written" in said
    assert "store.dir=FOLDER or output_dir=FOLDER" in said
