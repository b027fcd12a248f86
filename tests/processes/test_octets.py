"""A thousand varied messages come out of both stores octet for octet as they went in."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.local8 import environment, from_line, hand_over
from tests.mboxreader import read_mbox
from tests.messages.generate import messages
from tests.processes.conftest import Home

COUNT = 1000
SLICES = 4


def without_from_line(message: bytes) -> bytes:
    """What mdeliver stores of MESSAGE in a Maildir; without a line end it is no From_ line."""
    return message[message.find(b"\n") + 1 :] if message.startswith(b"From ") else message


@pytest.mark.parametrize("part", range(SLICES))
def test_what_goes_in_comes_out(home: Home, part: int) -> None:
    wrong = []
    chosen = [m for n, m in enumerate(messages(COUNT)) if n % SLICES == part]

    def deliver(numbered: tuple[int, tuple[str, bytes]]) -> str:
        number, (name, message) = numbered
        place = Home(home.path.parent / f"home{number}", home.command)
        if not message.startswith(b"From "):
            message = from_line() + message
        answer = hand_over(place.command, message, environment(place.person), place.person)
        if answer.verdict != "sent":
            return f"{name}: {answer}"
        return _difference(name, without_from_line(message), place.path)

    with ThreadPoolExecutor(os.cpu_count() or 1) as crowd:
        wrong = [found for found in crowd.map(deliver, enumerate(chosen)) if found]
    assert wrong == []


def _difference(name: str, sent: bytes, path: Path) -> str:
    in_maildir = [file.read_bytes() for file in (path / "Maildir" / "new").iterdir()]
    in_mbox = [stored.message for stored in read_mbox((path / "mbox").read_bytes())]
    if in_maildir != [sent]:
        return f"{name}: the Maildir has {len(in_maildir)} messages, or another one"
    # A mbox cannot tell whether the last line had its newline.
    if in_mbox != [sent] and in_mbox != [sent + b"\n"]:
        return f"{name}: the mbox has {len(in_mbox)} messages, or another one"
    return ""
