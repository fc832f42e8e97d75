"""Runs a benchmark from the command line.

    python -m benchmarks SUBCOMMAND …

Exit status: 0 done, 1 failed, 2 refused, 130 interrupted.
"""

from __future__ import annotations

import importlib
import os
import sys

from benchmarks.options import RACES, Options, parse
from distill_runner.errors import DistillError
from distill_runner.storage.disk import explain_os_error


def main() -> None:
    try:
        _run(sys.argv[1:])
    except DistillError as error:
        _leave(error)
    except OSError as error:
        _leave(explain_os_error(error, {}))
    except KeyboardInterrupt:
        sys.exit(130)


def _run(argv: list[str]) -> None:
    options = parse(argv)
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    options.folder.mkdir(parents=True, exist_ok=True)
    _check_overrides(options)
    # Imported here, so that typos are reported quickly.
    from benchmarks import record
    from distill_runner.console.screen import terminal

    console = terminal()
    name = "race" if options.command in RACES else options.command
    module = importlib.import_module(f"benchmarks.{name}")
    report: record.Report = module.run(options, lambda line: console.print(line, markup=False))
    record.write(report, options, argv)
    console.print(report.table())
    for note in report.notes:
        console.print(note, markup=False)
    console.print(f"Record: {options.folder / 'record.json'}", markup=False, soft_wrap=True)


def _check_overrides(options: Options) -> None:
    """Reject an invalid --set before any process starts."""
    from benchmarks.composing import compose_config

    method = options.command if options.command in RACES else options.method
    for asked in (options.lever, options.reference):
        compose_config([f"method={method}", *options.overrides, *asked], options)


def _leave(error: DistillError) -> None:
    print(f"bench: {error}", file=sys.stderr)
    sys.exit(error.exit_status)


if __name__ == "__main__":
    main()
