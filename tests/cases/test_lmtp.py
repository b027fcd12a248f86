"""tests/cases/lmtp/*.test: sessions of the LMTP engine, as transcripts.

    C: LHLO mx          the client's line; \\r, \\n, \\0 and \\xNN are written so, CR LF is added
    C+ more             the same without CR LF
    H: allow            the host answers; also: refuse REPLY, settle PLACE REPLY, tls, end REPLY,
                        drop REPLY
    S: 250 2.0.0 ok     what the engine sends
    E: Ended ...        an event

`pytest tests/cases/test_lmtp.py --update-cases -n0` rewrites the S and E lines.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mdeliver.lmtp.events import Asked, Content, Ended, Offers
from mdeliver.lmtp.protocol import Engine
from tests.casefile import Case, cases, update_case

if TYPE_CHECKING:
    from mdeliver.lmtp.events import Event

OFFERS = Offers("mail.example.org", 10_000, 3, starttls=True, xforward=True)


def shown(event: Event) -> str:
    """EVENT in one line."""
    match event:
        case Asked():
            return f"Asked {event.rcpt.recipient} {_rest(event.rcpt)}".rstrip()
        case Content():
            return f"Content {event.octets!r}"
        case Ended():
            people = ", ".join(rcpt.recipient for rcpt in event.recipients)
            forwarded = f" {event.forwarded}" if event.forwarded else ""
            return f"Ended from <{event.mail.sender}> to {people}{forwarded} {_rest(event.mail)}"
    return type(event).__name__


def _rest(value: object) -> str:
    names = ("size", "smtputf8", "ret", "envid", "original", "notify")
    found = [f"{name}={getattr(value, name)}" for name in names if getattr(value, name, None)]
    return " ".join(found)


def play(script: str, *, offers: Offers = OFFERS, step: int = 0) -> list[str]:
    """The transcript of a session; STEP octets at a time, 0 for whole lines."""
    engine = Engine(offers)
    lines = _heard(engine)
    for line in script.splitlines():
        who, words = line[:2], line[3:]
        if who in ("C:", "C+"):
            lines.append(line.rstrip())
            octets = words.encode().decode("unicode_escape").encode("latin-1")
            octets += b"\r\n" if who == "C:" else b""
            size = step or len(octets) or 1
            for at in range(0, len(octets), size):
                engine.receive(octets[at : at + size])
                lines += _heard(engine)
        elif who == "H:":
            lines.append(line)
            _answer(engine, words)
            lines += _heard(engine)
    return lines


def _answer(engine: Engine, words: str) -> None:
    verb, _, rest = words.partition(" ")
    if verb == "allow":
        engine.allow()
    elif verb == "refuse":
        engine.refuse(rest)
    elif verb == "settle":
        place, _, reply = rest.partition(" ")
        engine.settle(int(place), reply)
    elif verb == "tls":
        engine.tls_started()
    elif verb == "end":
        engine.end(rest)
    else:
        assert verb == "drop"
        engine.drop_message(rest)


def _heard(engine: Engine) -> list[str]:
    events = []
    while event := engine.next_event():
        events.append(f"E: {shown(event)}")
    sent = engine.take_output().decode().split("\r\n")
    assert sent.pop() == ""
    replies = [""]
    for line in sent:
        # A reply of several lines is shown as one.
        replies[-1] += f", {line[4:]}" if replies[-1] else f"{line[:3]} {line[4:]}"
        if line[3:4] == " ":
            replies.append("")
    return [*events, *[f"S: {reply}" for reply in replies[:-1]]]


@pytest.mark.parametrize("case", cases("lmtp"), ids=str)
def test_session(case: Case, pytestconfig: pytest.Config) -> None:
    found = "\n".join(line.rstrip() for line in play(case.text)) + "\n"
    if pytestconfig.getoption("--update-cases") and found != case.text:
        case.text = found
        update_case(case)
    assert found == case.text
