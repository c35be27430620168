"""Imports go down only: a floor knows those below it and itself, whatever the import's place."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llamapy"

FLOORS = {
    **dict.fromkeys(
        ("errors", "_lazy", "_version", "files", "heap", "jit", "tables", "threads", "quants"), 0
    ),
    **dict.fromkeys(("gguf", "tokenizers", "chat", "grammar", "sampling"), 1),
    **dict.fromkeys(("tensor", "ops", "plan"), 2),
    "backends": 2.5,
    **dict.fromkeys(("nn", "cache"), 3),
    "models": 4,
    **dict.fromkeys(("engine", "convert"), 5),
    "": 6,  # llamapy/__init__.py, the public names
    **dict.fromkeys(("cli", "server", "__main__", "testing", "compat"), 7),
}
TEXT_SIDE = {"tokenizers", "chat", "grammar", "sampling"}
TENSOR_SIDE = {"tensor", "ops", "plan", "backends", "nn", "cache", "models"}
# on the ground, the block formats stand on what needs no other
WITHIN_GROUND = {
    "errors": 0,
    "_lazy": 0,
    "_version": 0,
    "files": 1,
    "heap": 1,
    "tables": 1,
    "threads": 1,
    "jit": 1,
    "quants": 2,
}

FILES = sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """The modules of this package that a file imports, anywhere, but for type checkers alone."""
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            # `from llamapy import x` names the part x; `from llamapy.x import y` names x
            found |= {f"{base}.{alias.name}" if base == "llamapy" else base for alias in node.names}
    return {name for name in found if name.split(".")[0] == "llamapy"}


def part(module: str) -> str:
    names = module.split(".")
    return names[1] if len(names) > 1 else ""


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_go_down(path):
    here = part(module_name(path))
    assert here in FLOORS, f"{here} stands on no floor: give it one"
    for module in imports(path):
        there = part(module)
        if there == here:
            continue
        assert there in FLOORS, f"{path.name} imports {module}, which stands on no floor"
        assert FLOORS[there] <= FLOORS[here], (
            f"{module_name(path)} imports {module}, which is above"
        )
        assert not (here in TEXT_SIDE and there in TENSOR_SIDE), f"text imports tensors: {module}"
        if FLOORS[here] == 0:
            assert WITHIN_GROUND[there] < WITHIN_GROUND[here], f"{here} imports {there}"


def test_the_rule_is_not_empty():
    assert len(FILES) > 20
    assert any(imports(path) for path in FILES)


def test_public_names_are_those_listed():
    import llamapy

    assert sorted(llamapy.__all__) == dir(llamapy)
    for name in llamapy.__all__:
        assert getattr(llamapy, name) is not None


def test_import_is_silent_and_cheap():
    """Numba, and whatever else takes time, loads on first use."""
    import subprocess
    import sys

    code = "import sys, llamapy; print(*sorted({m.split('.')[0] for m in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"numba", "llvmlite", "rich", "jinja2", "regex", "matplotlib", "scipy", "torch"}
    assert not heavy & set(done.stdout.split())
    assert done.stderr == ""
