"""The real procmail as an oracle: what it does with a message, file by file and octet by octet.

Procmail runs as a mail filter (`procmail -m`) in a directory of its own: HOME, MAILDIR, DEFAULT
and ORGMAIL are below it, SENDMAIL and the programs of recipes are a script that notes its arguments
and its standard input.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from mdeliver.procmail.fate import Fate
from mdeliver.procmail.world import World
from tests.installation import lacking

NOTE = """\
#!/bin/sh
n=0
while ! mkdir "{sent}/$n" 2>/dev/null; do n=$((n+1)); done
printf '%s\\n' "$0" "$@" > "{sent}/$n/argv"
cat > "{sent}/$n/mail"
"""


LOOKS = 3
"""So often what differs is looked at again, alone: what procmail does otherwise it does each time,
what only a busy machine lets go wrong does not."""


class Did(NamedTuple):
    """What became of a message: files and their octets, and what programs got.

    Unique names in directories are left out: a Maildir's messages are a list of octets, and so are
    an mbox's, since clones write in any order.
    """

    status: int
    mboxes: dict[str, list[bytes]]
    messages: dict[str, list[bytes]]
    programs: list[tuple[tuple[str, ...], bytes]]


def need_procmail() -> None:
    """Skip the test where there is no procmail, fail it in CI."""
    if shutil.which("procmail") is None:
        lacking("procmail is not installed")


def world_in(directory: Path) -> World:
    """The surroundings that the model shares with the oracle in DIRECTORY."""
    program = str(directory / "note")
    default = str(directory / "inbox")
    extra = {
        "SENDMAIL": program,
        "ORGMAIL": str(directory / "orgmail"),
        "HOST": os.uname().nodename,
    }
    return World(str(directory), "ann", default=default, directory=str(directory), variables=extra)


def prepare(directory: Path) -> None:
    """Make the programs and the directory that they write to."""
    (directory / "sent").mkdir()
    note = directory / "note"
    note.write_text(NOTE.format(sent=directory / "sent"))
    note.chmod(0o755)


def preamble(directory: Path, path: str = "/usr/bin:/bin") -> str:
    """What stands before the recipes, for both."""
    return (
        f"HOME={directory}\nLOGNAME=ann\nMAILDIR={directory}\nDEFAULT={directory}/inbox\n"
        f"ORGMAIL={directory}/orgmail\nSENDMAIL={directory}/note\nLOGFILE={directory}/log\n"
        f"SHELL=/bin/sh\nPATH={path}\nLOCKSLEEP=1\n"
    )


def real(directory: Path, rules: str, message: bytes, path: str = "/usr/bin:/bin") -> Did:
    """What procmail does in DIRECTORY, where `prepare` was called; PATH is its programs' path."""
    before = set(directory.rglob("*"))
    rcfile = directory / "rc"
    rcfile.write_bytes((preamble(directory, path) + rules).encode("latin-1"))
    # Clones and programs outlive procmail: each of them holds this pipe open.
    reading, writing = os.pipe()
    try:
        done = subprocess.run(
            ["procmail", "-m", str(rcfile)],
            input=message,
            capture_output=True,
            cwd=directory,
            pass_fds=(writing,),
            timeout=300,
            check=False,
        )
        os.close(writing)
        writing = -1
        ended, _, _ = select.select([reading], [], [], 300)
        assert ended, "a program of procmail does not end"
    finally:
        os.close(reading)
        if writing >= 0:
            os.close(writing)
    return read_back(directory, done.returncode, before)


def read_back(directory: Path, status: int, before: set[Path]) -> Did:
    mboxes: dict[str, list[bytes]] = {}
    messages: dict[str, list[bytes]] = {}
    for path in sorted(directory.rglob("*")):
        name = path.relative_to(directory)
        if not path.is_file() or name.parts[0] in ("sent", "rc", "log", "note") or path in before:
            continue
        if name.parent.name in ("new", "cur", "tmp"):
            messages.setdefault(f"{name.parent.parent}/", []).append(path.read_bytes())
        elif name.name.startswith("msg.") or name.name.isdigit():
            messages.setdefault(f"{name.parent}/", []).append(path.read_bytes())
        else:
            mboxes[str(name)] = in_mbox(path.read_bytes())
    programs = []
    for sent in (directory / "sent").iterdir():
        argv = (sent / "argv").read_bytes().decode("latin-1").split("\n")[:-1]
        programs.append((tuple(argv), (sent / "mail").read_bytes()))
    return Did(status, mboxes, {k: sorted(v) for k, v in messages.items()}, sorted(programs))


def in_mbox(octets: bytes) -> list[bytes]:
    """What stands between the From_ lines of an mbox, in no order."""
    return sorted((b"\n" + octets.removesuffix(b"\n")).split(b"\nFrom "))


def of_model(directory: Path, fate: Fate) -> Did:
    """The same of what the model says."""
    written: dict[str, bytes] = {}
    messages: dict[str, list[bytes]] = {}
    programs = []
    for delivery in fate.deliveries:
        name = os.path.relpath(delivery.path, directory) if delivery.path else ""
        if delivery.kind == "mbox":
            written[name] = written.get(name, b"") + delivery.stored()
        elif delivery.kind in ("maildir", "directory", "mh"):
            messages.setdefault(f"{name}/", []).append(delivery.stored())
        elif delivery.kind in ("forward", "pipe"):
            programs.append((delivery.argv, delivery.stored()))
    mboxes = {name: in_mbox(octets) for name, octets in written.items()}
    return Did(fate.status, mboxes, {k: sorted(v) for k, v in messages.items()}, sorted(programs))
