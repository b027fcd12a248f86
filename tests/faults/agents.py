"""The agents that faults are injected into: each delivers to HOME/mbox and HOME/Maildir.

mdeliver-lda is what the tests are about. procmail and maildrop prove the harness: it must find in
them what is known to be there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.installation import LDA
from tests.local8 import Person, from_line
from tests.waiting import wait_for

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
if subject contains "never":
    file to imap/Never
"""

PROGRAMS = (
    RULES
    + """\
filter through "sh" "-c" "read -r u </proc/sys/kernel/random/uuid; echo X-Run: $u; exec cat"
also pipe to "sh" "-c" "exec cat >>piped"
run "true"
"""
)


class Agent(NamedTuple):
    """A delivery agent.

    prepare          makes its configuration below a home, and returns the mailbox_command
    quoting          how it quotes `From ` lines in the mbox, for the reader
    wants_from_line  whether it is given the From_ line; maildrop would take it for a header
    filters          whether a filter puts X-Run before each message, another one on each run, and
                     what is filed is also appended to HOME/piped
    """

    prepare: Callable[[Person], list[str]]
    quoting: str
    wants_from_line: bool = True
    filters: bool = False

    def handed(self, message: bytes, at: float) -> bytes:
        """MESSAGE as it is given to the agent at that time, in seconds since 1970."""
        return from_line(at=at) + message if self.wants_from_line else message


def _mdeliver(person: Person) -> list[str]:
    _write(person, person.home / ".config" / "mdeliver" / "rules", RULES)
    return [str(LDA)]


def _mdeliver_with_programs(person: Person) -> list[str]:
    _write(person, person.home / ".config" / "mdeliver" / "rules", PROGRAMS)
    return [str(LDA)]


def _mdeliver_keeping(person: Person) -> list[str]:
    """With rules that are old enough to be kept: a first delivery keeps them, a second finds them.

    They are beside the home, because a copy of a home is new.
    """
    rules = person.home.parent / "rules"
    if not rules.exists():
        rules.write_text(RULES)
        rules.chmod(0o644)

    def settled() -> bool:
        return time.time() - rules.stat().st_ctime > 2.5

    wait_for(settled, "the rules to be two seconds old")
    return [str(LDA), "--rules", str(rules)]


def _procmail(person: Person) -> list[str]:
    home, rc = person.home, person.home / ".procmailrc"
    _write(person, rc, f":0 c\n{home}/mbox\n\n:0\n{home}/Maildir/\n")
    return ["/usr/bin/procmail", "-m", str(rc)]


def _maildrop(person: Person) -> list[str]:
    home, rc = person.home, person.home / ".mailfilter"
    _write(person, rc, f'cc "{home}/mbox"\nto "{home}/Maildir"\n')
    for name in ("", "tmp", "new", "cur"):
        _make_directory(person, home / "Maildir" / name)
    return ["/usr/bin/maildrop", str(rc)]


AGENTS = {
    "mdeliver-lda": Agent(_mdeliver, "mboxrd"),
    "mdeliver-lda keeping rules": Agent(_mdeliver_keeping, "mboxrd"),
    "mdeliver-lda with programs": Agent(_mdeliver_with_programs, "mboxrd", filters=True),
    "procmail": Agent(_procmail, "as is"),
    "maildrop": Agent(_maildrop, "as is", wants_from_line=False),
}


def _make_directory(person: Person, path: Path) -> None:
    if not path.exists():
        path.mkdir(mode=0o700)
        _give(person, path)


def _write(person: Person, path: Path, text: str) -> None:
    """A configuration file as its owner would have it."""
    for parent in reversed(path.relative_to(person.home).parents):
        _make_directory(person, person.home / parent)
    path.write_text(text)
    path.chmod(0o600)
    _give(person, path)


def _give(person: Person, path: Path) -> None:
    import os

    os.chown(path, person.uid, person.gid)
