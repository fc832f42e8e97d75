"""Mistakes of beginners and the exact messages they get, listed in `beginners.txt`.

`python tests/command_line/test_beginners.py` rewrites that file; read it before you commit it.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hydra.core.global_hydra import GlobalHydra

from distill_runner import cli
from distill_runner.commands.verified_suggestions import fault_of
from distill_runner.config.compose import register_schema
from distill_runner.jobs.sweep import SweepTable

TABLE = Path(__file__).parent / "beginners.txt"
# Of Hydra, OmegaConf and Python; nobody who types a command has to know them.
FOREIGN = re.compile(
    r"Traceback|full_key|struct|Config\w*(Error|Exception)|To append to your|ListConfig|DictConfig"
    r"|not Optional|could not be converted|Invalid (type|value)|Primary config|bug in distill-run"
    r"|object_type|Errno"
)
# What stands for something that only the person knows, or is not meant to be typed.
NO_COMMAND = re.compile(
    r"[A-Z]{3,}|…|^leave it out$|^the folder contains|^pip |^eval |^distill-run -"
)


def _cases() -> dict[str, str]:
    """Each command of the table with what it gets."""
    blocks = TABLE.read_text(encoding="utf-8").strip().split("\n\n")
    return {
        block.partition("\n")[0].removeprefix("$ "): block.partition("\n")[2] for block in blocks
    }


CASES = _cases()


def lay_out(folder: Path) -> None:
    """Files and folders such as a beginner has."""
    rows = [f"{kind} film {n},{kind}" for n in range(60) for kind in ("good", "bad")]
    (folder / "reviews.csv").write_text("\n".join(["body,stars", *rows]) + "\n")
    (folder / "unlabelled.csv").write_text("\n".join(["body", *rows]) + "\n")
    (folder / "one_class.csv").write_text("text,label\n" + "a good film,good\n" * 60)
    (folder / "empty.csv").write_text("")
    (folder / "notes.docx").write_text("no table")
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "model.safetensors").write_bytes(b"")
    (folder / "data").mkdir()


def said_to(command: str, folder: Path) -> tuple[object, str]:
    """Exit status and stderr of the command, as typed in `folder`."""
    words = shlex.split(command)[1:]
    GlobalHydra.instance().clear()
    SweepTable.verdict = None
    error, before = io.StringIO(), sys.argv
    sys.argv = ["distill-run", *words]
    status: object = 0
    try:
        with chdir(folder), redirect_stdout(io.StringIO()), redirect_stderr(error):
            cli.main()
    except SystemExit as left:
        status = left.code
    finally:
        sys.argv = before
    return status, error.getvalue().strip().replace(str(folder.resolve()), "HERE")


def ways_out(said: str) -> list[list[str]]:
    """The commands that the message offers, those that can be typed as they stand."""
    found = re.findall(r"^  try:  (.*)$", said, flags=re.MULTILINE)
    offers = [offer for line in found for offer in re.split(r", or |; or ", line)]
    offers = [offer.removesuffix(", the default") for offer in offers]
    typeable = [offer for offer in offers if "=" in offer and not NO_COMMAND.search(offer)]
    return [shlex.split(offer) for offer in typeable]


def test_there_are_sixty_mistakes() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("command", CASES)
def test_a_beginners_mistake_is_answered_with_a_way_out(command: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    status, said = said_to(command, tmp_path)
    assert said == CASES[command]
    assert status == 2
    assert not FOREIGN.search(said)
    assert said.count("  try:  ") == (2 if "2 things are wrong" in said else 1)
    register_schema()
    sweep = ["-m"] if " -m " in command else []
    for words in ways_out(said):
        fault = fault_of([*sweep, *words])
        assert fault is None, f"{words}: {fault}"


def test_a_text_in_place_of_an_option_is_refused_however_long(tmp_path: Path) -> None:
    status, said = said_to(f"distill-run dataset={'x' * 300}", tmp_path)
    assert status == 2
    assert "Traceback" not in said


def _write_anew(commands: list[str]) -> None:
    blocks = []
    for command in commands:
        with TemporaryDirectory() as folder:
            lay_out(Path(folder))
            blocks.append(f"$ {command}\n{said_to(command, Path(folder))[1]}")
    TABLE.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")


if __name__ == "__main__":
    _write_anew(list(CASES))
