"""Reads the words of `distill frontier`: what is its own, and what every training gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, open_dict

from distill_runner.command_line.overrides import typed_keys
from distill_runner.command_line.parsing import parse_override
from distill_runner.config.compose import config_path, register_schema, to_dataclasses
from distill_runner.config.schema import Budget, Config, Frontier
from distill_runner.errors import Refused
from distill_runner.search.points import Variant
from distill_runner.storage.store import key_of

_OWN = ("budget", "frontier", "output_dir", "dry_run")
_ROOT = Path("outputs/frontier")


@dataclass(frozen=True)
class Composed:
    """A configuration, and the chosen option of every group."""

    node: DictConfig
    settings: Config
    choices: Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """A search as it was asked for.

    Attributes:
        words: what every training gets: the typed words without the search's own.
        composed: their configuration, with the search's own keys.
        model: hub id or folder of the model whose layers students keep.
        folder: where the search writes.
    """

    words: tuple[str, ...]
    composed: Composed
    model: str
    folder: Path

    @property
    def budget(self) -> Budget:
        """The most that a student may need."""
        return self.composed.settings.budget

    @property
    def frontier(self) -> Frontier:
        """The students to try."""
        return self.composed.settings.frontier

    @property
    def limits(self) -> tuple[int, ...]:
        """The limits of tokens to try."""
        typed = self.frontier.max_tokens
        return tuple(dict.fromkeys(typed or [self.composed.settings.dataset.max_tokens]))

    def words_for(self, variant: Variant, *, steps: int | None, folder: Path) -> list[str]:
        """Return the words of a training: `distill-run` with them makes the student.

        Args:
            variant: the student.
            steps: stop after so many; None: train to the end.
            folder: the run folder.
        """
        own = [f"student.model={self.model}"]
        if variant.is_static:
            own = ["student=static", *own]
            own.append(f"training.learning_rate={self.frontier.static_learning_rate:g}")
        else:
            layers = ",".join(map(str, range(variant.layers)))
            own.append(f"student.layers=[{layers}]")
        if variant.max_tokens != self.composed.settings.dataset.max_tokens:
            own.append(f"dataset.max_tokens={variant.max_tokens}")
        if steps is not None:
            own.append(f"training.max_steps={steps}")
        own += [*self._unless_typed(), f"output_dir={folder}"]
        replaced = {_key(word) for word in own}
        return [*(word for word in self.words if _key(word) not in replaced), *own]

    def _unless_typed(self) -> list[str]:
        """Return what spares work that the search does not read."""
        typed = {_key(word) for word in self.words}
        found = []
        if "baseline" in self.composed.node.method and "method.baseline" not in typed:
            found.append("method.baseline=never")
        if not any(key == "tracker" or key.startswith("tracker.") for key in typed):
            found.append("tracker=none")
        return found


def read_words(words: Sequence[str]) -> Asked:
    """Read the words, which `distill-run` would accept but for the search's own keys.

    Raises:
        Refused: they choose what the search varies, or leave no student to try.
    """
    composed = compose_words(words)
    passed = tuple(word for word in words if _key(word).partition(".")[0] not in _OWN)
    settings = composed.settings
    _check(words, composed)
    typed = {_key(word) for word in words}
    own_model = bool({"student", "student.model"} & typed) or not settings.teacher.models
    typed_folder = next((word for word in words if _key(word) == "output_dir"), None)
    method, data = composed.choices["method"], composed.choices["dataset"]
    default = _ROOT / f"{method}_{data}_{key_of(sorted(passed))[:8]}"
    return Asked(
        words=passed,
        composed=composed,
        model=settings.student.model if own_model else settings.teacher.models[0],
        folder=default if typed_folder is None else Path(settings.output_dir),
    )


def compose_words(words: Sequence[str]) -> Composed:
    """Compose the configuration of a command."""
    register_schema()
    GlobalHydra.instance().clear()
    # The default name of the folder needs values that only a run has.
    unnamed = [] if any(_key(word) == "output_dir" for word in words) else ["output_dir=unused"]
    with initialize_config_dir(config_path(), version_base="1.3"):
        node = compose("config", overrides=[*unnamed, *words], return_hydra_config=True)
    choices = {str(key): str(value) for key, value in node.hydra.runtime.choices.items()}
    with open_dict(node):
        del node["hydra"]
    return Composed(node, to_dataclasses(node), choices)


def _key(word: str) -> str:
    key: str = parse_override(word).get_key_element()
    return key


def _check(words: Sequence[str], composed: Composed) -> None:
    settings = composed.settings
    keys = {".".join(key) for key in typed_keys(words)}
    if "student.layers" in keys or settings.student.layers is not None:
        group = next((word for word in words if _key(word) == "student"), None)
        raise Refused(
            "The search chooses the student's layers.",
            key="student.layers" if group is None else "student",
            value=settings.student.layers if group is None else composed.choices["student"],
            rule="frontier.layers, the numbers of layers to try, and frontier.static",
            way_out="frontier.layers=[1,2], or student.model=ID for layers of another model",
        )
    if settings.force:
        raise Refused(
            "A search trains nothing again.",
            key="force",
            value=True,
            rule="false; what the store has is used, so that an interrupted search goes on",
            way_out="leave it out, or store.dir=ANOTHER_FOLDER",
        )
    if not settings.frontier.static and not settings.frontier.layers:
        raise Refused(
            "There is no student to try.",
            key="frontier.layers",
            value=[],
            rule="one number of layers or more, unless frontier.static=true",
            way_out="frontier.layers=[1,2,3,6]",
        )
