"""README and docs agree with the records and the code, and their links resolve."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "tools"))
import picture  # noqa: E402
import tables  # noqa: E402

PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
GENERATED = ("every_key.md", "result_json.md")  # docs/tools/hooks.py makes them
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[\w-]+)?\)")

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


@every_page
def test_its_tables_are_those_of_the_records(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text, "python docs/tools/tables.py writes them"


def test_each_table_stands_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert {name for name in tables.TABLES if f"<!-- table {name} -->" not in text} == set()


def test_the_picture_is_that_of_the_records() -> None:
    drawn = picture.TARGET.read_text(encoding="utf-8")
    assert picture.picture() == drawn, "python docs/tools/picture.py draws it"


@every_page
def test_its_links_lead_to_files_of_the_project(page: Path) -> None:
    for target in _LINK.findall(page.read_text(encoding="utf-8")):
        there = target in GENERATED or (page.parent / target).exists()
        assert there, f"{page.name} links to {target}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 220


@pytest.mark.parametrize(
    "group", ["method", "teacher", "student", "dataset", "noise", "tracker", "tune"]
)
def test_the_start_page_names_every_option_of_a_group(group: str) -> None:
    text = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith(f"| `{group}` |")]
    options = {path.stem for path in (ROOT / "conf" / group).glob("[!_]*.yaml")}
    assert options <= set(re.findall(r"[\w+]+", row))


def test_every_method_has_a_card_with_its_settings() -> None:
    shown = "".join(
        page.read_text(encoding="utf-8") for page in (ROOT / "docs/methods").glob("*.md")
    )
    for path in (ROOT / "conf" / "method").glob("[!_]*.yaml"):
        assert f"`{path.stem}`" in shown or f'"conf/method/{path.name}"' in shown


def test_every_figure_of_the_slides_is_the_experiments() -> None:
    text = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    said = dict(re.findall(r"`(table\d-[\w+-]+)` \| ([\d.]+)", text))
    for path in (ROOT / "conf" / "experiment").glob("table*.yaml"):
        published = yaml.safe_load(path.read_text(encoding="utf-8"))["published"]
        assert float(said.pop(path.stem)) == published["accuracy"]
    assert not said


@pytest.mark.parametrize(
    "name",
    [
        *("CITATION.cff", ".pre-commit-config.yaml"),
        *(str(path.relative_to(ROOT)) for path in sorted((ROOT / ".github").rglob("*.yml"))),
    ],
)
def test_a_file_for_other_tools_is_valid_yaml(name: str) -> None:
    assert yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_the_citation_names_the_version_of_the_package() -> None:
    import distill_runner

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == distill_runner.__version__
