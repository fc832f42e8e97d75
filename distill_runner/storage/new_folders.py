"""Removes the folders that a command created and left empty."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class NewFolders(Callback):  # type: ignore[misc]
    """A Hydra callback that runs before the output folder is created."""

    _made: ClassVar[list[Path]] = []  # innermost first

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Record which folders of the run's path do not exist yet."""
        NewFolders._note(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """Record which folders of the sweep's path do not exist yet."""
        NewFolders._note(Path(config.hydra.sweep.dir))

    @classmethod
    def _note(cls, folder: Path) -> None:
        cls._made = [one for one in (folder, *folder.parents) if not one.exists()]

    @classmethod
    def remove_empty(cls) -> None:
        """Remove the recorded folders that are empty."""
        for folder in cls._made:
            # A folder that is not empty, or was never created, stays as it is.
            with suppress(OSError):
                folder.rmdir()
        cls._made = []
