"""Launchers built from the source, and fake installations to start agents of our own making in.

A fake installation is a prefix with bin/mdeliver-lda, bin/python3 and a package mdeliver whose
`fused` is what a test wants the agent to do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest
from filelock import FileLock

Kind = Literal["raw", "libc", "script"]
KINDS: tuple[Kind, ...] = ("raw", "libc", "script")

ROOT = Path(__file__).parent.parent

DONE = 40
"""The status that means "delivered" between agent and launcher."""


def session_directory(factory: pytest.TempPathFactory) -> Path:
    """A directory of this test session alone, shared by all of its processes."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def cmake() -> str | None:
    """The cmake of this environment, else the system's."""
    beside = Path(sys.executable).parent / "cmake"
    return str(beside) if beside.exists() else shutil.which("cmake")


def build(kind: Kind, directory: Path, *definitions: str) -> Path:
    """The launcher of KIND, built once for all test processes below DIRECTORY.

    DEFINITIONS are C macros, such as AGENT_LIMIT_S=1; the script gets them by replacement.
    """
    made = directory / "-".join(("launcher", kind, *definitions))
    with FileLock(f"{made}.lock"):
        built = made / "bin" / "mdeliver-lda"
        if not built.exists():
            _cmake(
                *("-S", str(ROOT), "-B", f"{made}.build", f"-DMDELIVER_LAUNCHER={kind}"),
                f"-DMDELIVER_DEFINITIONS={';'.join(definitions)}",
                *("-DSKBUILD_SCRIPTS_DIR=bin", f"-DCMAKE_INSTALL_PREFIX={made}"),
            )
            _cmake("--build", f"{made}.build")
            _cmake("--install", f"{made}.build")
        if kind == "script" and definitions:
            text = built.read_text()
            for name, _, value in (d.partition("=") for d in definitions):
                text = "\n".join(
                    f"{name} = {value}" if line.startswith(f"{name} = ") else line
                    for line in text.split("\n")
                )
            built.write_text(text)
    return built


def _cmake(*arguments: str) -> None:
    command = [cmake() or "cmake", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def installation(
    prefix: Path, launcher: Path, fused: str, *, packages: str | None = None
) -> list[str]:
    """A fake installation below PREFIX; the command that starts its launcher.

    fused     body of `def fused(argv)`, with os and sys imported
    packages  directory of the package below PREFIX, in place of the usual one
    """
    version = "python{}.{}".format(*sys.version_info)
    package = prefix / (packages or f"lib/{version}/site-packages") / "mdeliver"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    body = "\n".join(f"    {line}" for line in fused.splitlines())
    (package / "__main__.py").write_text(f"import os, sys\ndef fused(argv):\n{body}\n")
    command = prefix / "bin" / "mdeliver-lda"
    command.parent.mkdir()
    shutil.copy(launcher, command)
    (command.parent / "python3").symlink_to(Path(sys.executable).resolve())
    return [str(command)]
