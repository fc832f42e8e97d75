"""Uploads an export to a repository on the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from distill_runner.errors import DistillError, Refused
from distill_runner.export.output import files_of

_RULE = "OWNER/NAME, or NAME among your own repositories"


def check_repository(repository: str) -> None:
    """Refuse a push that cannot succeed, before anything is exported.

    Raises:
        Refused: the name is no repository's, no token is known, or the hub is switched off.
    """
    from huggingface_hub import constants, get_token, hf_hub_url
    from huggingface_hub.errors import HFValidationError

    try:
        hf_hub_url(repository, "README.md")  # checks the name
    except HFValidationError:
        raise _refused(f"{repository!r} is no repository.", repository, _RULE, None) from None
    if constants.HF_HUB_OFFLINE:
        what, way_out = "The hub is switched off here.", "unset HF_HUB_OFFLINE"
        raise _refused(what, repository, "a hub that can be reached", way_out)
    if get_token() is None:
        what, way_out = "No token of the hub is known here.", "hf auth login, or HF_TOKEN=TOKEN"
        raise _refused(what, repository, "a token that may write to the repository", way_out)


def _refused(what: str, repository: str, rule: str, way_out: str | None) -> Refused:
    return Refused(what, key="--push", value=repository, rule=rule, way_out=way_out)


def upload_lines(folder: Path, repository: str) -> list[str]:
    """Say what will be uploaded, and where."""
    files = files_of(folder)
    total = sum(facts.size for facts in files.values()) / 1e6
    return [
        f"Uploading {len(files) + 1} files ({total:.1f} MB) to {repository}:",
        *(f"  {name}, {facts.size / 1e6:.2f} MB" for name, facts in files.items()),
        "  export.json",
        "A new repository is private; an existing one gets one more commit.",
    ]


def push(folder: Path, repository: str, *, message: str) -> str:
    """Upload the export's files in one commit, and return its address.

    Raises:
        DistillError: the hub refused, or could not be reached.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        known = api.create_repo(repository, private=True, exist_ok=True)
        done = api.upload_folder(
            folder_path=str(folder), repo_id=known.repo_id, commit_message=message
        )
    except Exception as error:  # the client passes on those of the libraries under it
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise DistillError(
            f"{folder} is complete, and its upload failed: {reason}\n"
            f"  try:  hf upload {repository} {folder}"
        ) from error
    return str(done.commit_url)
