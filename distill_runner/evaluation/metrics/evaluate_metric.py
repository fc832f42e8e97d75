"""Wraps the package's metrics in `evaluate`'s base class, without a download."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import Any


def offline_metric(description: str, compute: Callable[..., Any], kinds: Mapping[str, str]) -> Any:
    """Wrap a function as an `evaluate.Metric` without downloading anything.

    Args:
        description: what the metric measures.
        compute: takes the columns and the settings by name.
        kinds: the type of each column.
    """
    import datasets

    with _without_evaluators():
        from evaluate.info import MetricInfo
        from evaluate.module import Metric as Base

    class Own(Base):  # type: ignore[misc]
        def _info(self) -> Any:
            features = {name: datasets.Value(kind) for name, kind in kinds.items()}
            return MetricInfo(
                description=description, citation="", features=datasets.Features(features)
            )

        def _compute(self, **given: Any) -> Any:
            return compute(**given)

    return Own(keep_in_memory=True)


@contextmanager
def _without_evaluators() -> Iterator[None]:
    """Import modules of `evaluate`, inside the block, without running the package's `__init__`.

    That would import the evaluators, and with them transformers' pipelines for images, sound and
    translation, which takes seconds. A later import of `evaluate` is not affected.
    """
    if "evaluate" in sys.modules:
        yield
        return
    found = find_spec("evaluate")
    assert found is not None
    sys.modules["evaluate"] = module_from_spec(found)
    try:
        yield
    finally:
        del sys.modules["evaluate"]
