"""The house's own rules: layers, names that must not be known, functions that stay short."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "distill_runner"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.name != "__init__.py"
}
# From low to high; a module imports from its own layer or a lower one.
LAYERS = (
    ("errors", "disk", "address", "allocator", "visible", "locks", "integrity"),
    ("schema",),
    ("config", "help", "aliases", "types_in_words", "flags", "parsing", "overrides", "search",
     "explain", "hub", "hub_*", "intervals", "run_name", "new_folders", "naming",
     "composed_once"),
    ("plan", "rules", "stage_rules", "entries", "planning", "baseline", "readers", "unread",
     "mending"),
    ("objectives.*",),
    ("data.*",),
    ("models.*",),
    ("methods.*",),
    ("optim", "tracking", "wandb_child", "checkpoint", "metrics", "evaluation", "comparing",
     "store", "curves", "progress", "remaining", "interrupts", "machine", "memory",
     "provenance"),
    ("loop",),
    ("reading", "casting", "screen", "chance", "inputs", "local_checks"),
    ("run", "course", "helpers", "workload"),
    ("answers", "results", "robustness", "latency"),
    ("report.*",),
    ("run_folder", "output_folder", "announce", "run_card"),
    ("preflight",),
    ("job", "sweep"),
    ("command", "cli", "__main__"),
    ("bench.*",),
)  # fmt: skip


MACHINERY = (
    *("loop", "run", "plan", "entries", "planning", "job", "command", "cli", "casting", "reading"),
)


def layer_of(module: str) -> int:
    name = module.removeprefix("distill_runner.")
    for at, members in enumerate(LAYERS):
        if any(Path(name).match(member) for member in members):
            return at
    raise AssertionError(f"{module} has no layer: add it to LAYERS where it belongs")


def imports_of(path: Path, *, with_types: bool) -> list[str]:
    """Modules of ours that the file imports; those for type checkers alone only if asked."""
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
    return [name for name in found if name in MODULES]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_from_its_layer_or_below(module: str) -> None:
    for imported in imports_of(MODULES[module], with_types=False):
        assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"


@pytest.mark.parametrize("module", MACHINERY)
def test_the_machinery_imports_no_concrete_method(module: str) -> None:
    methods = [
        name
        for name in imports_of(MODULES[f"distill_runner.{module}"], with_types=True)
        if name.startswith("distill_runner.methods.")
    ]
    # `construct` builds whatever class a YAML names; it knows none by itself.
    allowed = {"distill_runner.methods.base", "distill_runner.methods.construct"}
    assert set(methods) <= allowed


def test_no_function_is_longer_than_sixty_lines() -> None:
    long = []
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno + 1 > 60:
                long.append(f"{module}.{node.name}")
    assert long == []


def test_nothing_asks_for_a_methods_name() -> None:
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Compare):
                asked = ast.unparse(node)
                assert "method ==" not in asked, f"{module}: {asked}"
                assert "method in" not in asked, f"{module}: {asked}"
