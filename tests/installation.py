"""The installed program that the tests run, and whether others than us may run it.

Tests of processes and servers run what an administrator would name in mailbox_command: the
installed mdeliver-lda, never the modules. MDELIVER_LDA names another one.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.local8 import Person, identity

LDA = Path(os.environ.get("MDELIVER_LDA") or Path(sys.prefix) / "bin" / "mdeliver-lda")
"""The launcher, as mailbox_command names it."""


def in_ci() -> bool:
    """Whether this is the continuous integration, where whatever is missing is a failure."""
    return os.environ.get("CI", "") not in ("", "0", "false")


def lacking(what: str) -> None:
    """End this test: WHAT is missing here. A failure in CI, elsewhere a skip that says so."""
    if in_ci():
        pytest.fail(what)
    pytest.skip(what)


def recipient(home: Path) -> Person:
    """Somebody whose home directory can be HOME: nobody if we are root, else ourselves.

    HOME is made over to that person. Deliveries never run as root: a root delivery passes checks
    that a user's would not.
    """
    entry = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    home.mkdir(parents=True, exist_ok=True)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    home.chmod(0o700)
    return Person(entry.pw_name, home, entry.pw_uid, entry.pw_gid)


def open_directory(prefix: str) -> Path:
    """A new temporary directory that every user can traverse; pytest's own are closed to others."""
    made = Path(tempfile.mkdtemp(prefix=f"mdeliver-{prefix}-", dir="/tmp"))
    made.chmod(0o755)
    return made


def copy_installation(to: Path, *, bundle: bool = False) -> Path:
    """Copy what mailbox_command needs, and no tools, below TO, to be broken there.

    bundle  with the one file that all modules come out of; else they are imported one by one
    Returns the copy's package directory; its launcher is at bin/ beside lib/.
    """
    prefix = LDA.parent.parent
    (package,) = prefix.glob("lib/python*/site-packages/mdeliver")
    copy = to / package.relative_to(prefix)
    left_out = ["__pycache__", *([] if bundle else ["bundle.*"])]
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns(*left_out))
    (to / "bin").mkdir()
    for name in (LDA.name, "python3"):
        shutil.copy(prefix / "bin" / name, to / "bin" / name, follow_symlinks=False)
    if (prefix / "pyvenv.cfg").exists():
        shutil.copy(prefix / "pyvenv.cfg", to / "pyvenv.cfg")
    return copy


def unreachable(path: Path, person: Person) -> str:
    """Why PERSON cannot run PATH, or "": names the directory that is closed."""
    if not path.exists():
        return f"{path} is not there: install mdeliver first (make install)"
    for step in [*reversed(path.resolve().parents), path.resolve()]:
        asked = subprocess.run(["/usr/bin/test", "-x", str(step)], check=False, **identity(person))
        if asked.returncode:
            return f"user {person.name} cannot enter {step}, so Postfix could not run {path}"
    return ""
