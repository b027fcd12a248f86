"""Size is a smell: a module over 400 lines or a function over 50 is two things under one name."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest

from tests.structure.source import ROOT

MODULE_LINES = 400
FUNCTION_LINES = 50


def _python_files() -> list[Path]:
    return [path for path in tracked() if path.suffix == ".py"]


def tracked() -> list[Path]:
    """Every file that git knows; in an unpacked archive, every file."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    listed = subprocess.run(command, capture_output=True, check=False)
    names = listed.stdout.decode().split("\0") if listed.returncode == 0 else []
    found = [ROOT / name for name in names if name] or [
        path for path in ROOT.rglob("*") if not {".venv", ".git", "build"} & set(path.parts)
    ]
    return [path for path in found if path.is_file()]


@pytest.mark.parametrize("path", _python_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_and_no_function_is_too_long(path: Path) -> None:
    text = path.read_text()
    long = [
        f"{path}:{node.lineno}: {node.name} has {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
    ]
    if text.count("\n") > MODULE_LINES:
        long.append(f"{path} has {text.count(chr(10))} lines")
    assert not long, "\n".join(long)
