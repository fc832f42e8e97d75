"""An algorithm from its YAML node."""

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
    """The algorithm that `_target_` names, with its settings checked.

    Args:
        node: `_target_` and the settings.
        stage: the stage that it trains.
        key_of: the key to blame for a setting; by default the setting's place in the stage.

    Raises:
        Refused: no such class or setting, or a value of the wrong type or out of its range.
    """
    from distill_runner.methods.base import Algorithm

    def place(setting: str) -> str:
        return f"method.stages.{stage}.algorithm.{setting}"

    blamed = key_of or place
    settings = {str(k): v for k, v in node.items()} if isinstance(node, Mapping) else {}
    target = settings.pop("_target_", None)
    base: type[Algorithm] = Algorithm  # type: ignore[type-abstract]
    cls = load_class(target, base, key=place("_target_"), kind="algorithm")
    cls.check_id(key=place("_target_"))
    try:
        return construct(cls, settings, key_of=blamed, name=cls.__name__)
    except Refused as refused:
        # A class names its setting alone: it cannot know which key of the method fills it.
        setting = (refused.key or "").removeprefix("method.")
        known = setting in settings and refused.key == f"method.{setting}"
        raise refused.of(f"method.{setting}", blamed(setting)) if known else refused from None
