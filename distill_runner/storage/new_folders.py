"""The folders that a command makes; those that it leaves empty are removed with it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class NewFolders(Callback):  # type: ignore[misc]
    """Hydra tells it where a run will write, before it makes that folder."""

    _made: ClassVar[list[Path]] = []  # innermost first

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        """Note which folders of the run's path are not there yet."""
        NewFolders._note(Path(config.hydra.run.dir))

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        """The same of a sweep."""
        NewFolders._note(Path(config.hydra.sweep.dir))

    @classmethod
    def _note(cls, folder: Path) -> None:
        cls._made = [one for one in (folder, *folder.parents) if not one.exists()]

    @classmethod
    def remove_empty(cls) -> None:
        """Remove those that are empty now."""
        for folder in cls._made:
            # It holds something, or was never made.
            with suppress(OSError):
                folder.rmdir()
        cls._made = []
