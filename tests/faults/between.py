"""What may happen to a home between a fault and the retry.

Each event does its deed and returns the messages that must be in both places afterwards, on top
of what was expected without it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping

from tests.faults.agents import Agent
from tests.local8 import Person, as_handed_over, environment, from_line, hand_over

Event = Callable[[Agent, Person], list[bytes]]

_OTHER = b"From: <other@example.net>\nSubject: other\nMessage-ID: <other@example.net>\n\nOther.\n"


def _nothing(agent: Agent, person: Person) -> list[bytes]:
    return []


def _another_delivery(agent: Agent, person: Person) -> list[bytes]:
    """The same agent delivers another message."""
    message = as_handed_over(_OTHER, person)
    handed = from_line(at=1_700_000_100) + message
    answer = hand_over(agent.prepare(person), handed, environment(person), person)
    assert answer.verdict == "sent", answer
    return [message]


def _foreign_delivery(agent: Agent, person: Person) -> list[bytes]:
    """Another program appends to the mbox as Postfix does, and files into the Maildir.

    It knows nothing of what the struck agent left: after a torn tail it writes where the file ends.
    """
    message = as_handed_over(_OTHER, person)
    mbox = person.home / "mbox"
    with mbox.open("ab") as appended:
        fcntl.lockf(appended, fcntl.LOCK_EX)
        os.chown(mbox, person.uid, person.gid)
        appended.write(from_line(at=1_700_000_100) + message + b"\n")
    maildir = person.home / "Maildir"
    for name in ("", "tmp", "new", "cur"):
        if not (maildir / name).exists():
            (maildir / name).mkdir()
            os.chown(maildir / name, person.uid, person.gid)
    (maildir / "new" / "1700000100.M1P1.foreign").write_bytes(message)
    return [message]


EVENTS: Mapping[str, Event] = {
    "nothing": _nothing,
    "another": _another_delivery,
    "foreign": _foreign_delivery,
}
