"""`mdeliver pop-sync` for virtual users: one uid, homes by a table of the LMTP server."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from mdeliver import locks
from tests.installation import LDA, open_directory
from tests.popsyncbox import Mail

OWNER = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
PEOPLE = ("ann", "bob")


@pytest.fixture
def top() -> Iterator[Path]:
    """A directory that the virtual users' owner can reach."""
    made = open_directory("virtual")
    yield made
    shutil.rmtree(made)


@pytest.fixture
def mail(top: Path) -> dict[str, Mail]:
    """Two users' mail; each has two messages in both stores."""
    made = {}
    for name in PEOPLE:
        made[name] = Mail(top / "vmail" / "x.example" / name)
        made[name].deliver(1, 2, log=False)
    (top / "users").write_text("ann@x.example\nann.smith@x.example x.example/ann\n@x.example\n")
    # A table that was changed just now may not be whole yet: its catch-all is for nobody.
    os.utime(top / "users", (1, 1))
    (top / "rules").write_text('mailbox pop3 = mbox "~/mbox"\n')
    (top / "mdeliver.toml").write_text(
        f'[lmtp]\nusers = "virtual"\nvirtual_user = "{OWNER}"\nvirtual_homes = "{top}/vmail"\n'
        f'virtual_users = ["{top}/users"]\n[pop_sync]\ndownloaded = "archive"\n'
        f'remember = "{top}/state/looks"\n'
    )
    hand_over(top)
    return made


def hand_over(top: Path) -> None:
    """What is in the homes is their owner's."""
    entry = pwd.getpwnam(OWNER)
    for path in (top / "vmail", *(top / "vmail").rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, entry.pw_uid, entry.pw_gid)
    for path in (top / "rules", top / "mdeliver.toml", top / "users"):
        path.chmod(0o644)


def pop_sync(top: Path, *options: str) -> list[dict[str, object]]:
    """What `mdeliver pop-sync` said, as objects."""
    files = ["--settings", str(top / "mdeliver.toml"), "--rules", str(top / "rules")]
    command = [str(LDA.with_name("mdeliver")), "pop-sync", *files, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_everybody_is_served_once(top: Path, mail: dict[str, Mail]) -> None:
    assert pop_sync(top, "--once") == []
    for name, number in (("ann", 1), ("bob", 2)):
        mail[name].pop3(number)
    said = pop_sync(top, "--once")
    assert sorted((str(s["user"]), str(s["message_id"])) for s in said) == [
        ("ann@x.example", "<1@x>"),
        ("bob@x.example", "<2@x>"),
    ]
    assert mail["ann"].copies()[1].parent.parent.name == ".Archive"
    assert mail["ann"].copies()[2].parent.name == "new"
    made = top / "vmail" / "x.example" / "bob" / ".local" / "state" / "mdeliver" / "pop-sync.db"
    assert made.stat().st_uid == pwd.getpwnam(OWNER).pw_uid


def test_who_has_nothing_new_is_not_looked_at(top: Path, mail: dict[str, Mail]) -> None:
    for box in mail.values():
        # An mbox that was written to just now is looked at again.
        os.utime(box.mbox, (1, 1))
    assert pop_sync(top, "--once") == []
    lock = mail["ann"].home / ".local" / "state" / "mdeliver" / "pop-sync.lock"
    held = os.open(lock, os.O_RDWR)
    try:
        # Whoever looks now is told that another is at work.
        assert locks.try_lock(held, 0, locks.WHOLE_FILE, exclusive=True)
        mail["bob"].pop3(2)
        (said,) = pop_sync(top, "--once")
        assert said["user"] == "bob@x.example"
    finally:
        os.close(held)
    mail["ann"].pop3(1)
    (said,) = pop_sync(top, "--once")
    assert said["user"] == "ann@x.example"
    assert (top / "state" / "looks").stat().st_uid == os.geteuid()


def test_one_of_them(top: Path, mail: dict[str, Mail]) -> None:
    for box in mail.values():
        box.pop3(1)
    (said,) = pop_sync(top, "--dry-run", "--user", "bob@x.example")
    assert (said["user"], said["deed"], said["done"]) == ("bob@x.example", "archived", False)
    (done,) = pop_sync(top, "--once", "--user", "bob@x.example")
    assert done["done"] is True
    (status,) = pop_sync(top, "--status", "--user", "bob@x.example")
    assert (status["messages"], status["downloaded"]) == (2, 1)
    assert mail["ann"].copies()[1].parent.name == "new"
