"""Input made to take time or memory out of proportion, and what each may take.

    python -m tests.bombs NAME

does one in a process of its own, whose CPU time and memory tests/unit/test_bombs.py looks at. What
is said of a bomb is asserted here; the limits are a few times what was measured.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from mdeliver.lmtp.events import Asked, Content, Ended, Offers
from mdeliver.lmtp.protocol import Engine

if TYPE_CHECKING:
    from mdeliver.lmtp.events import Event

MEGABYTE = 1 << 20
PIECE = 64 << 10
OPENING = b"LHLO mx\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\n"


class Bomb(NamedTuple):
    """One deed, with the CPU seconds and the megabytes that it may take, Python's own included."""

    deed: Callable[[], None]
    seconds: float
    megabytes: int


def _times(piece: bytes, octets: int) -> Iterable[bytes]:
    """OCTETS of PIECE after PIECE, as a socket gives them."""
    block = piece * (PIECE // len(piece))
    return (block for _ in range(octets // len(block)))


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
    _, said = _session([OPENING, *_times(line, 100 * MEGABYTE), b"\r\n.\r\nNOOP\r\n"])
    last = said.split(b"\r\n")[-3]
    assert last.startswith(b"5"), said[-300:]


def _lmtp_body(piece: bytes, megabytes: int = 100) -> None:
    """A body is taken as it is."""
    lines = (OPENING, b"A: b\r\n\r\n", *_times(piece, megabytes * MEGABYTE), b"\r\n.\r\n")
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
    said = _session([b"LHLO ", *_times(b"x", 100 * MEGABYTE)])[1]
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


def _rules(text: str) -> None:
    """Rules that no person wrote have their findings."""
    from tests.fuzz.rules import rules

    rules(text.encode())


def _procmailrc(text: str) -> None:
    from tests.fuzz.rules import procmailrc

    procmailrc(text.encode())


def _sieve(text: str) -> None:
    from tests.fuzz.rules import sieve

    sieve(text.encode())


def _log(octets: bytes) -> None:
    from tests.fuzz.logs import maillog

    maillog(octets)


def _mbox(octets: bytes) -> None:
    from tests.fuzz.tables import mbox

    mbox(octets)


def _settings(text: str) -> None:
    from tests.fuzz.tables import settings

    settings(text.encode())


_MESSAGE = b"From a Mon Nov 23 10:00:00 2026\nReceived: x\nTo: ann@example.org\n"
_LOG_START = b"Nov 22 10:00:00 mail postfix/smtpd[1]: NOQUEUE: reject: RCPT from x[192.0.2.1]: 450 "

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
        lambda: _through_a_pipe([_MESSAGE, *_times(b"X-A: b\n", 100 * MEGABYTE)]), 4, 150
    ),
    "stdin: a million addresses": Bomb(
        lambda: _through_a_pipe(
            [_MESSAGE, b"Cc: ", *_times(b"a@b.example, ", 14 * MEGABYTE), b"\n\nx"]
        ),
        3, 150,
    ),
    "stdin: a body of 50 MB of NUL": Bomb(
        lambda: _through_a_pipe([_MESSAGE, b"\n", *_times(b"\0", 50 * MEGABYTE)]), 4, 200
    ),
    "stdin: a body of 50 MB of lone CR": Bomb(
        lambda: _through_a_pipe([_MESSAGE, b"\n", *_times(b"\r", 50 * MEGABYTE)]), 4, 200
    ),
    "hostile heads": Bomb(lambda: _all("heads"), 8, 350),
    "hostile bodies": Bomb(lambda: _all("bodies"), 5, 350),
    "rules: 250 000 parentheses": Bomb(lambda: _rules("if " + "(" * (MEGABYTE // 4)), 4, 200),
    "rules: 250 000 nots": Bomb(
        lambda: _rules("if " + "not " * (MEGABYTE // 4) + "automatic: keep\n"), 10, 600
    ),
    "rules: 500 000 braces that never close": Bomb(
        lambda: _rules('log "' + "{" * (MEGABYTE // 2) + '"\n'), 4, 200
    ),
    "rules: a text of 20 000 braces": Bomb(
        lambda: _rules('log "' + "{size}" * 20_000 + '"\n'), 4, 200
    ),
    "procmailrc: blocks within blocks": Bomb(lambda: _procmailrc(":0\n{\n" * 20_000), 4, 200),
    "procmailrc: a variable doubled 60 times": Bomb(
        lambda: _procmailrc("A=xx\n" + "A=$A$A\n" * 60 + ":0\n* ^Subject: $A\n$A\n"), 4, 200
    ),
    "procmailrc: a regex of stars": Bomb(
        lambda: _procmailrc(":0\n* ^(" + "(a*)*" * 5000 + ")\nx\n"), 4, 200
    ),
    "sieve: blocks within blocks": Bomb(lambda: _sieve("if true {" * 50_000), 4, 200),
    "sieve: lists within lists": Bomb(lambda: _sieve("if header " + "[" * 200_000), 4, 200),
    "settings: lists within lists": Bomb(lambda: _settings("a = " + "[" * 500_000), 5, 200),
    "log: a line of 20 MB": Bomb(
        lambda: _log(_LOG_START + b"; from=<" * 2_500_000 + b"\n"), 3, 300
    ),
    "log: 20 MB of brackets in JSON": Bomb(
        lambda: _log(b'{"MESSAGE":' + b"[" * 20_000_000 + b"\n"), 5, 300
    ),
    "mbox: 20 000 From_": Bomb(
        lambda: _mbox(b"From a Mon Nov 23 10:00:00 2026\n\n" * 20_000), 10, 200
    ),
    "mbox: 8 MB of quoted From_": Bomb(
        lambda: _mbox(b"From a Mon Nov 23 10:00:00 2026\n\n" + b">From x\n" * 1_000_000), 4, 200
    ),
}  # fmt: skip


def most_kilobytes() -> int:
    """The most memory that this process has had, in kB: of wait4's figure a part is the parent's
    (proc(5): VmHWM begins anew with each program)."""
    found = re.search(r"^VmHWM:\s*(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    BOMBS[sys.argv[1]].deed()
    sys.stdout.write(f"{most_kilobytes()}\n")
