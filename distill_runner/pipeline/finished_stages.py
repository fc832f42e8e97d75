"""The artifacts of the stages that are done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from distill_runner.storage.store import Artifact


class FinishedStages(Mapping[str, Artifact]):
    """Each finished stage's artifact, by the stage's name; only the runner adds to it.

    Args:
        repair: makes a stage's artifact again if one of its files is damaged.
    """

    def __init__(self, repair: Callable[[str], None]) -> None:
        self._artifacts: dict[str, Artifact] = {}
        self._repair = repair

    def add(self, name: str, artifact: Artifact) -> None:
        """Record the stage as done."""
        self._artifacts[name] = artifact

    def whole(self, name: str) -> Artifact:
        """Return a finished stage's artifact after every file was read and any damage repaired."""
        self._repair(name)
        return self._artifacts[name]

    def __getitem__(self, name: str) -> Artifact:
        return self._artifacts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._artifacts)

    def __len__(self) -> int:
        return len(self._artifacts)
