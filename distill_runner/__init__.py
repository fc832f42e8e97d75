"""Knowledge distillation of text classifiers, from YAML to a table.

    import distill_runner

    result = distill_runner.run(["method=kd", "teacher=bert", "output_dir=outputs/first"])
    student = distill_runner.load("outputs/first")
    student.predict(["a good film"])

What `__all__` names is the public interface, with `distill_runner.methods` and
`distill_runner.objectives` for methods of one's own. It is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill_runner.exports import lazy_attributes

if TYPE_CHECKING:
    from distill_runner.commands.run import run
    from distill_runner.errors import DistillError, Refused
    from distill_runner.results.schema import RunResult
    from distill_runner.serving.student import Student, load

__version__ = "0.1.0"

__all__ = ["DistillError", "Refused", "RunResult", "Student", "__version__", "load", "run"]

__getattr__ = lazy_attributes(
    __name__,
    {
        "DistillError": "errors",
        "Refused": "errors",
        "RunResult": "results.schema",
        "Student": "serving.student",
        "load": "serving.student",
        "run": "commands.run",
    },
)


def __dir__() -> list[str]:
    return __all__
