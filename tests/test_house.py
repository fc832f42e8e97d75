"""Rules of the code base: layers, forbidden names, short functions."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "distill_runner"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
FOLDERS = {
    ".".join(path.parent.relative_to(PACKAGE.parent).parts)
    for path in PACKAGE.rglob("*/__init__.py")
}
# The folders from low to high; a module imports from its own folder or from one on a lower floor.
FLOORS = (
    ("errors", "exports"),
    ("results",),
    ("config.schema",),
    ("config", "storage", "hub", "models.architecture"),
    ("command_line", "console", "data.readers", "runtime", "tracking"),
    ("evaluation.metrics", "objectives"),
    ("tasks",),
    ("planning",),
    ("data",),
    ("models.fast",),
    ("models",),
    ("evaluation", "methods"),
    ("report", "training"),
    ("pipeline",),
    ("results.collect",),
    ("jobs",),
    ("serving",),
    ("export",),
    ("commands",),
    ("cli", "__main__"),
)
IMPORT_WIDELY = ("commands", "jobs", "pipeline", "results.collect")
MOST_LINES, MOST_FUNCTION_LINES = 300, 50
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(PACKAGE.parent / "benchmarks").rglob("*.py")])
# Where YAML or JSON is read or written, and so a value may be anything.
UNTYPED_EDGE = {
    "config.compose",  # the composed YAML
    "config.construct",  # a method's or a tracker's YAML
    "config.schema.rules",  # a dataclass field's metadata
    "export.vocabulary",  # tokenizer.json
    "methods.construct",  # a method's YAML
    "models.fast.packed",  # the arguments of a transformers module
    "models.loading",  # the settings of a transformers config
    "models.static",  # the settings of a transformers config
    "models.teachers",  # the state that a checkpoint holds
    "models.untrusted",  # config.json
    "planning.planner",  # a method's YAML
    "results.typed_json",  # result.json
    "storage.store",  # stage.json
    "tasks.base",  # config.json
    "tracking.curves",  # the state that a checkpoint holds
    "tracking.wandb_worker",  # what comes through the pipe
}
# Libraries that take long to import, and that many commands do not need.
HEAVY = {
    *("datasets", "evaluate", "huggingface_hub", "onnx", "onnxruntime", "optuna", "pyarrow"),
    *("requests", "rich", "safetensors", "scipy", "tokenizers", "torch", "transformers"),
    *("wandb", "yaml"),
}
# Folders that import parts of our own late: help, typos and finished runs answer without them.
LATE = {"cli", "commands", "jobs", "data", "evaluation", "export", "methods"}
# Rooms that run every method and so know none of them.
MACHINERY = ("planning", "training", "pipeline", "results", "jobs", "commands", "cli")


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def folder_of(module: str) -> str:
    """The module's folder in the package; a module at the top stands for itself."""
    inside = module.removeprefix("distill_runner.")
    if module in FOLDERS:
        return inside
    return inside.rpartition(".")[0] or inside


def floor_of(folder: str) -> int:
    for floor, folders in enumerate(FLOORS):
        if folder in folders:
            return floor
    raise AssertionError(f"{folder} has no floor: add it to FLOORS where it belongs")


def imports_of(path: Path, *, with_types: bool) -> list[str]:
    """Modules and folders of ours that the file imports; for type checkers only if asked."""
    found = []

    def visit(node: ast.AST) -> None:
        typing_only = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if typing_only and not with_types:
            return
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.extend(name if name in MODULES else node.module for name in names)
        elif isinstance(node, ast.Import):
            found.extend(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return [name for name in found if name in MODULES or name in FOLDERS]


@cache
def functions_of(path: Path) -> list[ast.FunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def modules_imported_in(function: ast.FunctionDef) -> list[str]:
    nodes = list(ast.walk(function))
    plain = [alias.name for one in nodes if isinstance(one, ast.Import) for alias in one.names]
    return plain + [one.module or "" for one in nodes if isinstance(one, ast.ImportFrom)]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_folder_or_a_lower_floor(module: str) -> None:
    home = folder_of(module)
    for imported in imports_of(MODULES[module], with_types=False):
        other = folder_of(imported)
        allowed = other == home or floor_of(other) < floor_of(home)
        assert allowed or {home, other} <= {"cli", "__main__"}, f"{module} imports {imported}"


def test_the_top_of_the_package_has_at_most_six_modules() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 6


@pytest.mark.parametrize("folder", sorted({folder_of(module) for module in MODULES}))
def test_a_folder_says_what_lives_there_and_what_it_imports(folder: str) -> None:
    init = PACKAGE / folder.replace(".", "/") / "__init__.py"
    if not init.parent.is_dir():
        return
    said = (ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "").split("\n\n")[-1]
    claim = " ".join(said.split()).partition(".")[0].removeprefix("Imports ")
    if folder in IMPORT_WIDELY:
        assert claim == "any folder on a lower floor"
        return
    imported = {
        folder_of(other).partition(".")[0]
        for module, path in MODULES.items()
        if folder_of(module) == folder
        for other in imports_of(path, with_types=False)
    } - {folder.partition(".")[0], "errors", "exports"}
    assert set(re.split(", | and ", claim)) == (imported or {"no other folder"})


@pytest.mark.parametrize("module", MODULES)
def test_the_machinery_imports_no_concrete_method(module: str) -> None:
    if folder_of(module) not in MACHINERY:
        return
    methods = {
        name
        for name in imports_of(MODULES[module], with_types=True)
        if name.startswith("distill_runner.methods.")
    }
    # `construct` builds whatever class a YAML names; it knows none by itself.
    allowed = {f"distill_runner.methods.{name}" for name in ("base", "batch", "construct")}
    assert methods <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_file_has_at_most_three_hundred_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_a_function_has_at_most_fifty_lines(path: Path) -> None:
    long = {
        node.name: size
        for node in functions_of(path)
        if (size := (node.end_lineno or 0) - node.lineno + 1) > MOST_FUNCTION_LINES
    }
    assert not long


@pytest.mark.parametrize("module", MODULES)
def test_untyped_mappings_cross_modules_only_at_the_edge(module: str) -> None:
    if module.removeprefix("distill_runner.") in UNTYPED_EDGE:
        return
    public = [one for one in functions_of(MODULES[module]) if not one.name.startswith("_")]
    for node in public:
        arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        for annotation in (*(one.annotation for one in arguments), node.returns):
            written = ast.unparse(annotation) if annotation is not None else ""
            assert "ict[str, Any]" not in written, f"{node.name}: {written}"
            assert "Mapping[str, Any]" not in written, f"{node.name}: {written}"


def test_the_untyped_edge_names_modules_that_exist() -> None:
    assert {f"distill_runner.{name}" for name in UNTYPED_EDGE} <= MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_an_import_inside_a_function_keeps_the_command_quick(module: str) -> None:
    """Libraries of `HEAVY` cost a second; modules of `LATE` load them, or are rarely needed."""
    home = folder_of(module)
    for function in functions_of(MODULES[module]):
        for name in modules_imported_in(function):
            library = name.partition(".")[0]
            allowed = library in HEAVY or (library == "distill_runner" and home in LATE)
            assert allowed, f"{module}.{function.name} imports {name}"


def test_nothing_asks_for_a_methods_name() -> None:
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                asked = ast.unparse(node)
                assert "method ==" not in asked, f"{module}: {asked}"
                assert "method in" not in asked, f"{module}: {asked}"


def test_what_test_files_share_lives_in_support() -> None:
    tests = Path(__file__).parent
    homes = {path.stem for path in tests.rglob("test_*.py")} | {"conftest"}
    for path in tests.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            assert not homes.intersection(names), f"{path.relative_to(tests)} imports {names}"
