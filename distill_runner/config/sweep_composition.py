"""Each job of a sweep is composed once.

Hydra composes all jobs before the first starts, so that a bad one is refused at once, and
each again when its turn comes. To compose a job takes longer than to find it finished.
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

_KEPT = 200  # jobs; the others of a longer sweep are composed twice


@contextmanager
def compose_no_run_for_its_mode() -> Iterator[None]:
    """Inside, spare Hydra a whole composition before the first, which only asks for `hydra.mode`.

    That cannot be typed here, -m says it; so what Hydra finds is always None.
    """
    before = Hydra.get_mode
    Hydra.get_mode = lambda *_, **__: None
    try:
        yield
    finally:
        Hydra.get_mode = before


def compose_jobs_once() -> None:
    """Have the Hydra that runs now keep what it composes for a sweep until it is asked again."""
    running = GlobalHydra.instance().hydra
    assert running is not None
    running.config_loader = _ComposedOnce(running.config_loader)


class _ComposedOnce(ConfigLoader):  # type: ignore[misc]
    """Composes a job when it is first asked for, and hands the same out at the second time."""

    def __init__(self, loader: ConfigLoader) -> None:
        self._loader = loader
        self._kept: dict[tuple[str, ...], DictConfig] = {}

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        job = (*master_config.hydra.overrides.hydra, *sweep_overrides)
        if job in self._kept:
            kept = self._kept.pop(job)
            # Both say the same of the time, also where it was asked for in between.
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
        return options

    def list_groups(self, parent_name: str) -> list[str]:
        groups: list[str] = self._loader.list_groups(parent_name)
        return groups

    def get_search_path(self) -> Any:
        return self._loader.get_search_path()

    def get_sources(self) -> Any:
        return self._loader.get_sources()
