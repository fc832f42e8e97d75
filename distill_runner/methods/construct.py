"""Makes an algorithm from its YAML node."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from distill_runner.config.construct import construct, load_class
from distill_runner.errors import Refused

if TYPE_CHECKING:
    from distill_runner.methods.base import Algorithm


def make_algorithm(
    node: Mapping[str, Any],
    *,
    stage: str = "finetune",
    key_of: Callable[[str], str] | None = None,
) -> Algorithm:
    """Make the algorithm that `_target_` names, and check its settings.

    Args:
        node: `_target_` and the settings.
        stage: the stage that the algorithm trains.
        key_of: maps a setting to the key to blame; by default its place in the stage.

    Raises:
        Refused: the class or a setting does not exist, or a value has the wrong type or is out
            of range.
    """
    from distill_runner.methods.base import Algorithm

    def place(setting: str) -> str:
        return f"method.stages.{stage}.algorithm.{setting}"

    blamed = key_of or place
    settings = {str(k): v for k, v in node.items()} if isinstance(node, Mapping) else {}
    target = settings.pop("_target_", None)
    base: type[Algorithm] = Algorithm  # type: ignore[type-abstract]
    cls = load_class(target, base, key=place("_target_"), kind="an algorithm")
    cls.check_id(key=place("_target_"))
    try:
        return construct(cls, settings, key_of=blamed, name=cls.__name__)
    except Refused as refused:
        # A class names only its own setting: it cannot know which key of the method fills it.
        setting = (refused.key or "").removeprefix("method.")
        known = setting in settings and refused.key == f"method.{setting}"
        raise (
            refused.rename_key(f"method.{setting}", blamed(setting)) if known else refused
        ) from None
