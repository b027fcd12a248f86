"""Accounting: what became of every message, after the fault and the retries.

lost     a message that should be in a place is not there
doubled  it is there more than once
torn     a place holds what is no whole message of ours, or an mbox whose framing is broken
litter   a file is left that a clean delivery leaves not: a lock, a temporary file
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.mboxreader import Torn, read_mbox

# Lines that POP3 and IMAP servers add to an mbox's messages; they are theirs, not the message's.
_SERVERS_LINES = re.compile(
    rb"^(Status|X-Status|X-UID|X-IMAP|X-IMAPbase|X-Keywords|Content-Length): .*\n", re.MULTILINE
)

# Dovecot keeps its state in a message of its own when the mbox has no other.
_SERVERS_MESSAGE = re.compile(rb"^Subject: DON'T DELETE THIS MESSAGE", re.MULTILINE)


def without_servers_lines(message: bytes) -> bytes:
    """MESSAGE without what a POP3 server writes into its head."""
    head, empty_line, body = message.partition(b"\n\n")
    if not empty_line:
        return message
    return _SERVERS_LINES.sub(b"", head + b"\n")[:-1] + empty_line + body


def in_mbox(path: Path, quoting: str) -> list[bytes]:
    """The messages of an mbox; raises Torn."""
    content = path.read_bytes() if path.exists() else b""
    messages = [without_servers_lines(s.message) for s in read_mbox(content, quoting=quoting)]
    return [message for message in messages if not _SERVERS_MESSAGE.search(message)]


def in_maildir(maildir: Path) -> list[bytes]:
    """The messages in new and cur of a Maildir and its folders."""
    return [path.read_bytes() for path in _message_files(maildir)]


def _message_files(maildir: Path) -> Iterator[Path]:
    for pattern in ("new/*", "cur/*", ".*/new/*", ".*/cur/*"):
        yield from sorted(maildir.glob(pattern))


def faults_in(place: str, found: Callable[[], list[bytes]], expected: list[bytes]) -> list[str]:
    """What is wrong with one place: words that begin with lost, doubled or torn."""
    try:
        messages = found()
    except Torn as torn:
        return [f"torn {place}: {torn}"]
    wrong = []
    for number, message in enumerate(expected):
        times = messages.count(message)
        if times == 0:
            wrong.append(f"lost {place}: message {number}")
        elif times > 1:
            wrong.append(f"doubled {place}: message {number} is there {times} times")
    wrong += [
        f"torn {place}: {len(message)} bytes that are no message of ours: {message[:40]!r}"
        for message in messages
        if message not in expected
    ]
    return wrong


_RUN = re.compile(rb"\AX-Run: [0-9a-f-]+\n")


def without_run(message: bytes) -> bytes:
    """MESSAGE without what the filter of a run put before it."""
    return _RUN.sub(b"", message)


def mixed_runs(in_mbox: list[bytes], in_maildir: list[bytes], piped: bytes) -> list[str]:
    """What is wrong where a filter makes something else of a message on each run.

    All copies of a message are of one run. The program that it is piped to had it at least once
    (twice is possible: it was at work when the delivery was killed), of that run.
    """
    wrong = [
        f"torn maildir: what another run made of {without_run(message)[:40]!r}"
        for message in in_mbox
        if without_run(message) in [without_run(other) for other in in_maildir]
        and message not in in_maildir
    ]
    return wrong + [f"lost piped: {message[:80]!r}" for message in in_mbox if message not in piped]


_NOT_OURS = re.compile(r"Maildir/(\.[^/]+/)?(new|cur)/[^/]+|\.pop3/.*")


# Any delivery makes it that comes long enough after the rules were changed.
_KEPT_RULES = ".cache/mdeliver/rules"


def files_of(home: Path) -> set[str]:
    """Names of all files below HOME with digits made alike.

    Left out are messages in their places and what a POP3 server keeps for itself.
    """
    names = set()
    for path in home.rglob("*"):
        name = str(path.relative_to(home))
        if path.is_file() and not _NOT_OURS.fullmatch(name):
            names.add(re.sub(r"[0-9a-f]*\d[0-9a-f]*", "N", name))
    return names


def litter_in(home: Path, clean: set[str]) -> list[str]:
    """Files that a clean delivery would not have left; CLEAN is files_of a home after one."""
    return [f"litter: {name}" for name in sorted(files_of(home) - clean - {_KEPT_RULES})]
