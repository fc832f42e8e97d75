"""Makes Hydra compose each job of a sweep only once.

Hydra composes all jobs before the first one starts, so that a bad one is refused immediately, and
composes each again when its turn comes. For a job that is already finished, composing it takes most
of the time.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

from hydra._internal.hydra import Hydra
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

_KEPT = 200  # jobs; later jobs of a longer sweep are composed twice


@contextmanager
def skip_mode_composition() -> Iterator[None]:
    """Skip, inside the context, the composition from which Hydra reads `hydra.mode`.

    The mode cannot be typed, since -m sets it, so Hydra would always find None.
    """
    before = Hydra.get_mode
    Hydra.get_mode = lambda *_, **__: None
    try:
        yield
    finally:
        Hydra.get_mode = before


def compose_jobs_once() -> None:
    """Make the running Hydra keep each composed job until it is requested again."""
    running = GlobalHydra.instance().hydra
    assert running is not None
    running.config_loader = _ComposedOnce(running.config_loader)


class _ComposedOnce(ConfigLoader):  # type: ignore[misc]
    """Composes a job at the first request and returns the same composition at the second."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._kept: dict[tuple[str, ...], DictConfig] = {}

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        job = (*master_config.hydra.overrides.hydra, *sweep_overrides)
        if job in self._kept:
            kept = self._kept.pop(job)
            # Resolvers such as ${now:} must give both compositions the same time.
            OmegaConf.copy_cache(from_config=master_config, to_config=kept)
            return kept
        composed: DictConfig = self._loader.load_sweep_config(master_config, sweep_overrides)
        if len(self._kept) < _KEPT:
            self._kept[job] = deepcopy(composed)
        return composed

    def load_configuration(self, *args: Any, **settings: Any) -> DictConfig:
        composed: DictConfig = self._loader.load_configuration(*args, **settings)
        return composed

    def compute_defaults_list(self, *args: Any, **settings: Any) -> Any:
        return self._loader.compute_defaults_list(*args, **settings)

    def get_group_options(self, *args: Any, **settings: Any) -> list[str]:
        options: list[str] = self._loader.get_group_options(*args, **settings)
        # glob(*) must not match base files, which other options extend.
        return [option for option in options if not option.startswith("_")]

    def list_groups(self, parent_name: str) -> list[str]:
        groups: list[str] = self._loader.list_groups(parent_name)
        return groups

    def get_search_path(self) -> Any:
        return self._loader.get_search_path()

    def get_sources(self) -> Any:
        return self._loader.get_sources()
