"""Make the bundle: the modules that every delivery imports, compiled, in one file.

Why        a delivery is one process per message. Finding, opening, checking and reading some forty
           files under __pycache__ takes a third as long as the interpreter takes to start.
Holds      this interpreter's magic number, then a marshalled pair: the code of bundled.py, and for
           each module, in an order in which they can be imported, its name, whether it is a
           package, its file and its code. Left out of the code is what no delivery asks for:
           asserts and docstrings (optimize=2), the types of arguments, and the import of
           __future__, which costs as much as a module of ours and is only a flag to the compiler.
Which      what the modules of ROOTS import as they are imported, and what those import, and so on.
           What is imported within a function is needed rarely and imported as usual then.
Without    it, or where it was made by another Python, bootstrap.py imports all modules as usual.
Stale?     it is made whenever the package is built. Whoever edits installed files removes it.

    python launcher/bundle.py PACKAGE_DIRECTORY OUTPUT_DIRECTORY
"""

from __future__ import annotations
import __future__

import ast
import marshal
import sys
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType
from typing import NamedTuple

NAME = f"bundle.{sys.implementation.cache_tag}"
"""File name within the package; interpreters of two versions may share a directory."""

ROOTS = (
    *("mdeliver.__main__", "mdeliver.agent", "mdeliver.deliver.transaction"),
    # What hardly any rules and messages do without.
    *("mdeliver.addresses", "mdeliver.headertext"),
)
"""Where a delivery begins, and what it comes to."""


class Module(NamedTuple):
    """One module: its dotted name, whether it is a package, its file and its code."""

    name: str
    is_package: bool
    file: str
    code: CodeType


class _Unneeded(ast.NodeTransformer):
    """Leaves out the import of __future__ and the types of arguments and results.

    Those of a class's fields stay: Records are made from them.
    """

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return None if node.module == "__future__" else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node


def compiled(source: str, file: str) -> CodeType:
    """The code of the module SOURCE, which is in FILE."""
    tree = _Unneeded().visit(ast.parse(source))
    flags = __future__.annotations.compiler_flag
    code: CodeType = compile(tree, file, "exec", flags=flags, dont_inherit=True, optimize=2)
    return code


def modules(package: Path) -> list[Module]:
    """The modules of the package in the directory PACKAGE that ROOTS need, in order of import."""
    found: dict[str, Module] = {}

    def add(name: str) -> None:
        place = package.parent.joinpath(*name.split("."))
        is_package = place.is_dir()
        path = place / "__init__.py" if is_package else place.with_suffix(".py")
        if name in found or not path.exists():
            return
        if "." in name:
            add(name.rpartition(".")[0])
        source = path.read_text("utf-8")
        for needed in _imported(source):
            add(needed)
        file = str(path.relative_to(package.parent))
        found[name] = Module(name, is_package, file, compiled(source, file))

    for root in ROOTS:
        add(root)
    return list(found.values())


def _imported(source: str) -> Iterator[str]:
    """What the module SOURCE imports as it is imported, and perhaps names that are no modules."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def make(package: Path, directory: Path) -> Path:
    """Write the bundle of PACKAGE into DIRECTORY; its path."""
    first = Path(__file__).with_name("bundled.py")
    start = compiled(first.read_text("utf-8"), "launcher/bundled.py")
    directory.mkdir(parents=True, exist_ok=True)
    bundle = directory / NAME
    content = marshal.dumps((start, [tuple(module) for module in modules(package)]))
    bundle.write_bytes(MAGIC_NUMBER + content)
    return bundle


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
