"""Make the bundle: the modules that a delivery may import, compiled, in one file.

Why        a delivery is one process per message. Finding, opening and checking some forty files
           under __pycache__ costs a third of the interpreter's own start; one file costs nothing
           that can be measured.
Holds      this interpreter's magic number, then a marshalled pair: the code of bundled.py, which
           imports from the second, and for each module (whether it is a package, its file, its
           marshalled code). Left out is what no delivery asks for: asserts and docstrings
           (optimize=2), the types of arguments, and the import of __future__, which costs as much
           as a module of ours and is only a flag to the compiler.
Without    it, or where it was made by another Python, bootstrap.py imports modules as usual.
Stale?     it is made whenever the package is built, and whoever edits installed files by hand
           removes it.

    python launcher/bundle.py PACKAGE_DIRECTORY OUTPUT_DIRECTORY
"""

from __future__ import annotations
import __future__

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from types import CodeType

NAME = f"bundle.{sys.implementation.cache_tag}"
"""File name within the package; interpreters of two versions may share a directory."""

_NEVER_IN_A_DELIVERY = ("mdeliver.cli",)


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


def modules(package: Path) -> dict[str, tuple[bool, str, bytes]]:
    """What the bundle of the package in the directory PACKAGE has of its modules."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        file = path.relative_to(package.parent)
        is_package = path.stem == "__init__"
        name = ".".join((file.parent if is_package else file.with_suffix("")).parts)
        if not f"{name}.".startswith(tuple(f"{left_out}." for left_out in _NEVER_IN_A_DELIVERY)):
            code = compiled(path.read_text("utf-8"), str(file))
            found[name] = (is_package, str(file), marshal.dumps(code))
    return found


def make(package: Path, directory: Path) -> Path:
    """Write the bundle of PACKAGE into DIRECTORY; its path."""
    start = Path(__file__).with_name("bundled.py")
    finder = compiled(start.read_text("utf-8"), "launcher/bundled.py")
    directory.mkdir(parents=True, exist_ok=True)
    bundle = directory / NAME
    bundle.write_bytes(MAGIC_NUMBER + marshal.dumps((finder, modules(package))))
    return bundle


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
