"""The package's source as syntax trees, for the tests beside this file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "mdeliver"


class Module(NamedTuple):
    """One module: its dotted name, where it is, and its tree."""

    name: str
    path: Path
    tree: ast.Module


class Import(NamedTuple):
    """One import: of what, on which line, and whether only type checkers see it."""

    target: str
    line: int
    for_types: bool


def modules() -> list[Module]:
    """Every module of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(), str(path))))
    return found


MODULES = modules()
NAMES = frozenset(module.name for module in MODULES)


def imports(tree: ast.AST, *, for_types: bool = False) -> Iterator[Import]:
    """Every import in TREE, those inside functions included; of modules where they are ours."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for inner in node.body:
                yield from imports(ast.Module([inner], []), for_types=True)
            for inner in node.orelse:
                yield from imports(ast.Module([inner], []), for_types=for_types)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, for_types)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            for alias in node.names:
                whole = f"{module}.{alias.name}"
                yield Import(whole if whole in NAMES else module, node.lineno, for_types)
        else:
            yield from imports(node, for_types=for_types)


def calls(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every call in TREE by the name that is written there ("os.open", "print"), and its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node.lineno
