"""Sessions of LMTP, and messages on standard input."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mdeliver.lmtp.events import Asked, Content, Ended, Offers
from mdeliver.lmtp.protocol import Engine
from tests.bombs.bomb import MEGABYTE, Bomb, times

if TYPE_CHECKING:
    from mdeliver.lmtp.events import Event

OPENING = b"LHLO mx\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"


def _session(pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
    """What an LMTP session comes to, content left out; ends where the server would end it."""
    engine = Engine(Offers("mx", 0))
    found: list[Event] = []
    said = b""
    for piece in pieces:
        engine.receive(piece)
        while event := engine.next_event():
            match event:
                case Asked():
                    engine.allow()
                case Ended(recipients=recipients):
                    found.append(event)
                    for place in range(len(recipients)):
                        engine.settle(place, "250 2.0.0 ok")
                case Content():
                    pass
                case _:
                    found.append(event)
            said += engine.take_output()
        said += engine.take_output()
        if engine.state.value == "over":
            break
    return found, said


def _lmtp_head(line: bytes) -> None:
    """A head of 100 MB is refused for good, and read no further than it must be."""
    _, said = _session([OPENING, *times(line, 100 * MEGABYTE), b"\r\n.\r\nNOOP\r\n"])
    last = said.split(b"\r\n")[-3]
    assert last.startswith(b"5"), said[-300:]


def _lmtp_body(piece: bytes, megabytes: int = 100) -> None:
    """A body is taken as it is."""
    lines = (OPENING, b"A: b\r\n\r\n", *times(piece, megabytes * MEGABYTE), b"\r\n.\r\n")
    found, said = _session(lines)
    assert any(isinstance(event, Ended) for event in found), said[-300:]


def _lmtp_recipients() -> None:
    """A million recipients: a thousand are taken, the others told to come again; then it ends."""
    one = b"RCPT TO:<ann%d@example.org>\r\n"
    said = _session(
        [
            OPENING[:-6],
            *(b"".join(one % n for n in range(k, k + 1000)) for k in range(0, 1_000_000, 1000)),
        ]
    )[1]
    assert said.count(b"250 2.1.5") == 1000
    assert b"\r\n452 " in said
    assert said.split(b"\r\n")[-2].startswith(b"421 ")


def _lmtp_command() -> None:
    """A command of 100 MB without an end."""
    said = _session([b"LHLO ", *times(b"x", 100 * MEGABYTE)])[1]
    assert said.count(b"\r\n") < 50


def _through_a_pipe(pieces: Iterable[bytes]) -> None:
    """A message on standard input, by rules that look at everything."""
    from mdeliver.letter import read_letter
    from tests.fuzz.decisions import decide

    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    writer = threading.Thread(target=write)
    writer.start()
    with tempfile.TemporaryDirectory() as spool:
        letter = read_letter(reading, spool)
        decide(letter)
        letter.close()
    writer.join()


def _all(kind: str) -> None:
    """Hostile heads, or bodies, one after the other."""
    from mdeliver.letter import letter_of
    from tests import hostile_bodies, hostile_heads
    from tests.fuzz.decisions import decide

    octets = hostile_heads.HOSTILE if kind == "heads" else hostile_bodies.HOSTILE
    # A part: the time that each takes is looked at by test_hostile_messages.py.
    for name in list(octets)[::9]:
        decide(letter_of(octets[name] + b"\nbody\n"))


_MESSAGE = b"From a Mon Nov 23 10:00:00 2026\nReceived: x\nTo: ann@example.org\n"

BOMBS: dict[str, Bomb] = {
    "LMTP: a head of 100 MB in short lines": Bomb(lambda: _lmtp_head(b"X-A: b\r\n"), 3, 100),
    "LMTP: a head of 100 MB in one line": Bomb(lambda: _lmtp_head(b"X"), 3, 100),
    "LMTP: a head of 100 MB of NUL": Bomb(lambda: _lmtp_head(b"\0"), 3, 100),
    "LMTP: a body of 100 MB of NUL lines": Bomb(lambda: _lmtp_body(b"\0" * 62 + b"\r\n"), 5, 100),
    "LMTP: a body of 100 MB of lone CR": Bomb(lambda: _lmtp_body(b"\r" * 62 + b"\r\n"), 5, 100),
    "LMTP: a body of 25 MB of dots": Bomb(lambda: _lmtp_body(b"..\r\n", 25), 4, 100),
    "LMTP: a million recipients": Bomb(_lmtp_recipients, 8, 100),
    "LMTP: a command of 100 MB": Bomb(_lmtp_command, 2, 100),
    "stdin: a head of 100 MB": Bomb(
        lambda: _through_a_pipe([_MESSAGE, *times(b"X-A: b\n", 100 * MEGABYTE)]), 4, 150
    ),
    "stdin: a million addresses": Bomb(
        lambda: _through_a_pipe(
            [_MESSAGE, b"Cc: ", *times(b"a@b.example, ", 14 * MEGABYTE), b"\n\nx"]
        ),
        3, 150,
    ),
    "stdin: a body of 50 MB of NUL": Bomb(
        lambda: _through_a_pipe([_MESSAGE, b"\n", *times(b"\0", 50 * MEGABYTE)]), 4, 200
    ),
    "stdin: a body of 50 MB of lone CR": Bomb(
        lambda: _through_a_pipe([_MESSAGE, b"\n", *times(b"\r", 50 * MEGABYTE)]), 4, 200
    ),
    "hostile heads": Bomb(lambda: _all("heads"), 8, 350),
    "hostile bodies": Bomb(lambda: _all("bodies"), 5, 350),
}  # fmt: skip
