"""Writes the page of `distill-run --help` without composing a configuration."""

from __future__ import annotations

import textwrap
from functools import cache
from pathlib import Path

from distill_runner import __version__
from distill_runner.config.compose import config_path, option_names

_WIDTH = 80  # characters in a line

# Groups that methods choose in their YAML, not on the command line.
_PARTS = ("stage",)

_PAGE = """\
distill-run {version}: knowledge distillation of text classifiers.
Fine-tunes the teachers, distils the student, and prints what distillation gained.

USAGE
  distill-run [-m] GROUP=OPTION ... KEY=VALUE ...

EXAMPLES
  Offline, in small:
    distill-run method=metadistil teacher=bert+roberta profile=tiny
  SST-2 and models from the hub:
    distill-run method=kd teacher=bert student=distilbert
  Your own texts:
    distill-run method=kd teacher=bert dataset=files \\
        dataset.path=reviews.csv dataset.text=body dataset.label=stars
  A sweep, with one table at the end; a table of the slides:
    distill-run -m method=kd method.temperature=1,2,5,10 seed=1,2,3
    distill-run -m 'experiment=glob(table1-*)'
  Without a hub:
    distill-run method=kd paths.models=DIR paths.datasets=DIR

GROUPS AND THEIR OPTIONS
{groups}

Every key can be set on the command line, as in training.epochs=3. Several
values of one key, separated by commas, make a sweep with -m.

  --help           this page          --cfg job     the composed configuration
  dry_run=true     the plan           force=true    train again what the store has
  --version        {version}              -m            a sweep
"""


def page() -> str:
    """Return the help page: usage, examples, and every group with its options."""
    groups = "\n".join(
        textwrap.fill(
            f"{group:10}  {', '.join(option_names(group))}",
            _WIDTH,
            subsequent_indent=" " * 12,
            break_on_hyphens=False,
        )
        for group in sorted(group_names())
    )
    return _PAGE.format(version=__version__, groups=groups)


@cache
def group_names() -> frozenset[str]:
    """Return the groups whose options can be chosen on the command line."""
    folders = {path.name for path in Path(config_path()).iterdir() if path.is_dir()}
    return frozenset(folders.difference(_PARTS))
