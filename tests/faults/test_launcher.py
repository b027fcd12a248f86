"""One fault at every system call of the launcher: never success without the deed, never a bounce.

The agent is a small program whose own calls are struck too; what is under test is what the
launcher makes of that.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faults.strace import points_of, strike, trace
from tests.installation import lacking
from tests.launchers import Kind, build, session_directory
from tests.local8 import Person

pytestmark = pytest.mark.faults

MESSAGE = b"From a@example.org\n\nhello\n"

# Copies standard input to the file DEED, syncs it, and only then says done; else rejects if the
# name says so. Static, so that its start has few calls.
AGENT = r"""
#include <fcntl.h>
#include <unistd.h>
#include <stdlib.h>
int main(void)
{
    char bytes[4096];
    ssize_t count = read(0, bytes, sizeof bytes);
    int file = open(getenv("DEED"), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (count <= 0 || file < 0 || write(file, bytes, count) != count || fsync(file) < 0)
        _exit(1);
    if (getenv("REJECT") == NULL)
        _exit(40);
    if (write(1, "\0" "5.7.1 no\n", 10) != 10)
        _exit(1);
    _exit(77);
}
"""


# What a C library does before main can fail in its own way (127): the reason for the raw launcher.
_BEFORE_MAIN: dict[Kind, frozenset[str]] = {"raw": frozenset(), "libc": frozenset({"mprotect"})}


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("strace") or not shutil.which("cc"):
        lacking("strace and a C compiler are needed (apt install strace gcc libc6-dev)")
    directory = tmp_path_factory.mktemp("agent")
    (directory / "agent.c").write_text(AGENT)
    made = directory / "agent"
    subprocess.run(["cc", "-static", "-o", made, directory / "agent.c"], check=True)
    return made


@pytest.mark.parametrize("rejecting", [False, True], ids=["done", "rejected"])
@pytest.mark.parametrize("kind", _BEFORE_MAIN)
def test_every_single_fault(
    kind: Kind,
    rejecting: bool,
    agent: Path,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    launcher = tmp_path / "bin" / "mdeliver-lda"
    launcher.parent.mkdir()
    shutil.copy(build(kind, session_directory(tmp_path_factory)), launcher)
    shutil.copy(agent, launcher.parent / "python3")
    deed, log = tmp_path / "deed", tmp_path / "log"
    environ = {"DEED": str(deed)} | ({"REJECT": "1"} if rejecting else {})
    me = Person("me", tmp_path, os.geteuid(), os.getegid())
    command = [str(launcher)]

    clean = trace(log, [], command, MESSAGE, environ, me, 300)
    assert clean.status == (77 if rejecting else 0)
    points = points_of(log.read_text())
    assert len(points) > 40

    wrong = []
    for point in points:
        deed.unlink(missing_ok=True)
        struck = strike(point, log, command, MESSAGE, environ, me, 300)
        done = deed.exists() and deed.read_bytes() == MESSAGE
        verdict = struck.answer.verdict
        allowed = {"deferred"} if not done else {"deferred", "bounced" if rejecting else "sent"}
        if point.call in _BEFORE_MAIN[kind]:
            allowed |= {"bounced"}
        elif struck.answer.status not in (0, 75, 77):
            allowed -= {"bounced", "sent"}
        if verdict not in allowed:
            wrong.append(f"{point}: {verdict} {struck.answer}, done: {done}, at {struck.where}")
    assert not wrong, "\n".join(wrong)
