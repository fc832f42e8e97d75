"""Pages that mkdocs generates from the code: every key, and result.json."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from distill_runner.config.describe import reference
from distill_runner.results.describe import describe

_RESULT = """# result.json

Every run folder has one. This page is generated from the classes that write and read it
(`distill_runner/results/schema.py`), so it is complete. Scores are shares of 1, not percentages.

"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"every_key.md": reference(), "result_json.md": _RESULT + describe()}
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files
