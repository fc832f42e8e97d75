"""Pages that mkdocs makes from the code while it builds: every key, and result.json."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from distill_runner.config.describe import reference
from distill_runner.results.describe import describe

_RESULT = """# result.json

Every run folder has one. This page is made from the classes that write and read it
(`distill_runner/results/schema.py`), so it is complete. Scores are shares of 1, not per cent.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file holds."""
    pages = {"every_key.md": reference(), "result_json.md": _RESULT + describe()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files
