"""`mdeliver convert` as a process: it executes nothing of a procmailrc, whatever stands there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.installation import lacking

PROGRAMS = """\
A=`touch {mark}`
TRAP="touch {mark}"
SHELL={script}
SENDMAIL={script}
INCLUDERC=|{script}
LOGFILE=|{script}
:0
* ? touch {mark}
* ! ? {script}
* $ B ?? `{script}`
x/
:0 fw
* ^Subject:.*=\\?koi8-r
| {script}
:0 e
| touch {mark}
:0 c
| cat > {mark} | sh
:0 B
* <iframe`touch {mark}`
y/
X=| touch {mark}
:0
`touch {mark}`
"""
MAIL = "From a@example.org  Mon Nov 23 10:00:00 2026\nFrom: a@example.org\nSubject: x\n\nbody\n"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("options", [[], ["--allow-shell"], ["--prove"]])
def test_nothing_of_the_file_is_executed(tmp_path: Path, options: list[str]) -> None:
    if shutil.which("strace") is None:
        lacking("strace is not installed")
    mark, script, mailbox, trace = (tmp_path / n for n in ("mark", "script", "mbox", "trace"))
    script.write_text(f"#!/bin/sh\ntouch {mark}\n")
    script.chmod(0o755)
    mailbox.write_text(MAIL)
    rcfile = tmp_path / "rc"
    rcfile.write_text(PROGRAMS.format(mark=mark, script=script))
    given = ["--prove", str(mailbox)] if options == ["--prove"] else options
    command = [sys.executable, "-m", "mdeliver", "convert", "procmailrc", str(rcfile)]
    watched = [
        "strace",
        "-f",
        "--seccomp-bpf",
        "-qq",
        "-o",
        str(trace),
        "-e",
        "trace=execve,execveat",
    ]
    done = subprocess.run(
        [*watched, *command, "--home", str(tmp_path), *given],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 1, done.stderr
    assert not mark.exists()
    executed = [line for line in trace.read_text().splitlines() if "execve" in line]
    assert len(executed) == 1, executed
    assert sys.executable in executed[0]
