"""What a session waits for, and for how long; the house's clock is moved by hand."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from typing import Any, cast

import pytest

from mdeliver.lmtp.accounts import Account
from mdeliver.lmtp.commands import Mail, Rcpt
from mdeliver.lmtp.events import Ended, Offers
from mdeliver.lmtp.parcel import Room
from mdeliver.lmtp.sessions import NO_ROOM, Session, _job
from mdeliver.lmtp.settings import Lmtp
from mdeliver.lmtp.wire import Tls


class Crew:
    """Nobody is slow."""

    def is_slow(self, _name: str, _now_s: float) -> float:
        return 0.0


class House:
    """What a session needs; everybody has a mailbox."""

    settings = Lmtp(command_s=10, message_s=25)
    tls = None
    crew = Crew()

    def __init__(self) -> None:
        self.now_s = 100.0
        self.reports: list[str] = []
        self.room = Room(1 << 20)
        self.accounts = self
        self.ours, theirs = socket.socketpair()
        self.ours.setblocking(False)
        theirs.setblocking(False)
        self.session = Session(cast("Any", self), theirs, Offers("host"))
        self.session.go_on()

    def report(self, words: str) -> None:
        self.reports.append(words)

    def watch(self, _session: Session) -> None: ...

    def forget(self, _session: Session) -> None: ...

    def find(self, _address: str, _now_s: float) -> Account:
        return Account("ann", "", "")

    def said(self, octets: bytes, after_s: float) -> bytes:
        """The client says OCTETS after so long; the last line that it is told by then."""
        self.now_s += after_s
        return (self.all_said(octets) or [b""])[-1]

    def all_said(self, octets: bytes) -> list[bytes]:
        """All lines that the client is told when it has said OCTETS."""
        if octets:
            self.ours.send(octets)
            self.session.readable()
        self.session.look_at_the_clock()
        try:
            return self.ours.recv(65536).splitlines()
        except BlockingIOError:
            return []


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    with made.ours:
        yield made
        made.session._hang_up()


def test_a_command_that_drips_in(house: House) -> None:
    assert house.said(b"LHLO x\r\n", 9)[:4] == b"250 "
    assert house.said(b"MAIL", 4) == b""
    assert house.said(b" FRO", 5) == b""
    assert house.said(b"M:<", 5) == b"421 4.4.2 no command came within 10 s"
    assert house.ours.recv(10) == b""


def test_commands_in_time(house: House) -> None:
    for command in (b"LHLO x\r\n", b"MAIL FROM:<>\r\n", b"NOOP\r\n", b"RCPT TO:<ann>\r\n"):
        assert house.said(command, 9)[:3] == b"250"


def begin(house: House) -> None:
    house.said(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann>\r\n", 0)


def test_a_message_that_drips_in(house: House) -> None:
    begin(house)
    assert house.said(b"DATA\r\n", 0)[:3] == b"354"
    assert house.said(b"S", 9) == house.said(b"u", 9) == b""
    assert house.said(b"b", 9) == b"421 4.4.2 the message did not come within 25 s"


def test_chunks_that_drip_in(house: House) -> None:
    """The message takes its room between them too."""
    begin(house)
    assert house.said(b"BDAT 1\r\nS", 9)[:3] == b"250"
    assert house.said(b"NOOP\r\n", 9)[:3] == b"250"
    assert house.said(b"BDAT 1\r\nu", 9) == b"421 4.4.2 the message did not come within 25 s"
    assert house.room.take(1 << 20)


def test_a_large_message_over_a_slow_line(house: House) -> None:
    """It takes longer than the time for any message, and comes steadily."""
    begin(house)
    house.said(b"DATA\r\n", 0)
    for _ in range(10):
        assert house.said(b"a line of a message\r\n" * 3000, 5) == b""
    assert house.said(b"x", 9) == b""
    assert house.said(b"x", 9) == b"421 4.4.2 the message did not come within 61 s"


def test_a_message_that_stops_coming(house: House) -> None:
    begin(house)
    house.said(b"DATA\r\nSubject", 0)
    assert house.said(b"", 11) == b"421 4.4.2 no more of the message came within 10 s"


def test_a_message_that_cannot_be_kept(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_parcel: object, _octets: bytes) -> bool:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))

    monkeypatch.setattr("mdeliver.lmtp.parcel.Parcel.add", refuse)
    begin(house)
    house.said(b"DATA\r\n", 0)
    said = house.said(b"Subject: x\r\n\r\n.\r\n", 0)
    assert said == b"452 4.3.1 no memory for the message: File too large"


@pytest.mark.parametrize("way", [b"DATA\r\n%b\r\n.\r\n", b"BDAT 12 LAST\r\n%b\r\n"])
def test_no_room_for_the_last_piece(house: House, way: bytes) -> None:
    """What came before it is no message, even where its end came along with it."""
    assert house.room.take((1 << 20) - 5)
    begin(house)
    house.said(b"RCPT TO:<bob>\r\n", 0)
    said = house.all_said(way % b"Subject: x" + b"NOOP\r\n")
    assert said[-3:] == [NO_ROOM.encode(), NO_ROOM.encode(), b"250 2.0.0 ok"]
    assert house.room.take(5)


def test_a_mistake_of_ours_ends_one_session(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of its message keeps its room."""
    begin(house)
    house.said(b"DATA\r\nSubject: x\r\n", 0)
    assert not house.room.take(1 << 20)

    def fail(_packet: object) -> bytes:
        raise RuntimeError("of all things")

    monkeypatch.setattr("mdeliver.lmtp.sessions.pack_job", fail)
    monkeypatch.setattr(Crew, "next_number", lambda _crew: 1, raising=False)
    said = house.said(b"\r\n.\r\n", 0)
    assert said == b"421 4.3.0 mdeliver has made a mistake, which its log tells; try again"
    assert house.ours.recv(10) == b""
    assert house.reports == ["a session is ended: RuntimeError: of all things"]
    assert house.room.take(1 << 20)


def test_a_mistake_of_ours_takes_back_no_reply(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was said before it still holds, and would be delivered twice for no reply."""

    def fail(_address: str, _now_s: float) -> Account:
        raise RuntimeError("of all things")

    monkeypatch.setattr(house, "find", fail)
    said = house.all_said(b"LHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<ann>\r\n")
    assert [line[:3] for line in said[-2:]] == [b"250", b"421"]


def test_a_mistake_in_an_answer_ends_one_session(house: House) -> None:
    """It comes by way of a worker's channel, whose other mail has nothing to do with it."""
    house.session._settle(7, "250 2.0.0 delivered")
    assert house.all_said(b"")[-1][:3] == b"421"
    assert house.reports[0].startswith("a session is ended: ")


def test_nobody_is_told_of_the_end_in_mid_handshake(house: House) -> None:
    """It cannot be said; to try again and again would take all of a processor."""
    house.session.wire = Tls(house.session.wire, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))  # type: ignore[arg-type]
    house.session.finish()
    house.all_said(b"")
    assert house.ours.recv(10) == b""


def test_nobody_keeps_a_server_from_its_end(house: House) -> None:
    """A message that is never begun is waited for as long as one that never ends."""
    begin(house)
    house.session.finish()
    assert house.said(b"NOOP\r\n", 9) == house.said(b"NOOP\r\n", 9) == b"250 2.0.0 ok"
    assert house.said(b"NOOP\r\n", 9)[:3] == b"421"
    assert house.ours.recv(10) == b""


@pytest.mark.parametrize(
    ("said", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("IPv6:2001:db8::7", "2001:db8::7"),
        ("IPV6:2001:db8::7", "2001:db8::7"),
        ("", ""),
    ],
)
def test_the_clients_address_is_an_address(said: str, address: str) -> None:
    """Postfix writes `IPv6:`, its XFORWARD_README `IPV6:`."""
    ended = Ended(Mail("bob@example.net"), (Rcpt("ann@example.org"),), {"ADDR": said})
    job = _job(1, Account("ann", "", ""), ended, ended.recipients[0], b"", 0, b"")
    assert job.client_address == address
