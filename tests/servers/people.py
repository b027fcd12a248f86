"""Real local users for the time of a test run: Postfix and Dovecot know no others.

Made with   useradd: a home below the run's own directory, an mbox in /var/mail owned by the user,
            group mail, mode 0600, as Debian's Postfix makes it; /var/mail itself stays as it is
Removed     with everything they own when the run ends
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from grp import getgrnam
from pathlib import Path

from filelock import FileLock

from tests.local8 import Person

SPOOL = Path("/var/mail")
PASSWORD = "correct horse battery staple"


@contextmanager
def _alone() -> Iterator[None]:
    """While no other test changes the list of users: useradd waits for its lock some seconds."""
    with FileLock("/tmp/mdeliver-tests-users.lock"):
        yield


def add_person(role: str, homes: Path) -> Person:
    """Make a local user whose name ends in ROLE, with a home below HOMES and an empty mbox."""
    # Unique, since other test runs on this machine make users too; short, for useradd's limit.
    name = f"mdt{secrets.token_hex(3)}{role}"
    home = homes / name
    command = ["useradd", "--create-home", "--home-dir", str(home), "--skel", "/nonexistent"]
    command += ["--user-group", "--shell", "/bin/sh", name]
    with _alone():
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    home.chmod(0o711)
    entry = pwd.getpwnam(name)
    person = Person(name, home, entry.pw_uid, entry.pw_gid)
    make_spool(person)
    return person


def make_spool(person: Person) -> Path:
    """Make the person's empty mbox in /var/mail as the system would, and return its path."""
    spool = SPOOL / person.name
    os.close(os.open(spool, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    os.chown(spool, person.uid, getgrnam("mail").gr_gid)
    return spool


def remove_person(person: Person) -> None:
    """Remove the user and all that the user had."""
    with _alone():
        subprocess.run(["userdel", "--force", person.name], check=False, capture_output=True)
    (SPOOL / person.name).unlink(missing_ok=True)
    (SPOOL / f"{person.name}.lock").unlink(missing_ok=True)
    shutil.rmtree(person.home, ignore_errors=True)


def write_rules(person: Person, text: str) -> Path:
    """Make TEXT the person's rules, and return the path."""
    path = person.home / ".config" / "mdeliver" / "rules"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for made in (path, path.parent, path.parent.parent):
        os.chown(made, person.uid, person.gid)
    path.chmod(0o600)
    return path
