"""Questions to the DNS: answers, silence, and the limits of both."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import pytest

from mdeliver import limits
from mdeliver.authentication.lookups import Names, Resolved, Unanswered, ZoneFile
from tests.servers.zone import Zone

ZONE = """\
example.org TXT v=spf1 -all
example.org MX mx.example.org
mx.example.org A 192.0.2.1
1.2.0.192.in-addr.arpa PTR mx.example.org
broken.example.org broken
"""

MASTER_FILE = """\
example.org TXT "v=spf1 " "-all"
example.org 300 IN MX 10 mx.example.org
mx.example.org A 192.0.2.1
mx.example.org AAAA 2001:db8::1
1.2.0.192.in-addr.arpa PTR mx.example.org
www.example.org CNAME mx.example.org
round.example.org CNAME about.example.org
about.example.org CNAME round.example.org
; no answer: broken.example.org
"""


class Counted:
    """A name server on a port of its own, and the questions that it was asked, however often.

    ZONE None: it never answers.
    """

    def __init__(self, zone: str | None) -> None:
        self.asked: set[bytes] = set()
        self._zone = None if zone is None else Zone(zone)
        self._door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._door.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:{1}".format(*self._door.getsockname())
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            query, client = self._door.recvfrom(4096)
            if not query:
                return
            self.asked.add(query[2:])  # all but its number
            if self._zone is not None:
                self._door.sendto(self._zone.answer(query), client)

    def stop(self) -> None:
        self._door.sendto(b"", self._door.getsockname())
        self._thread.join()
        self._door.close()


@contextmanager
def server(zone: str | None) -> Iterator[Counted]:
    made = Counted(zone)
    try:
        yield made
    finally:
        made.stop()


@pytest.fixture(params=["server", "zone file"])
def names(request: pytest.FixtureRequest) -> Iterator[Names]:
    if request.param == "zone file":
        yield ZoneFile(MASTER_FILE)
        return
    with server(ZONE) as made:
        yield Resolved((made.address,), 20)


def test_answers(names: Names) -> None:
    assert names.texts("example.org") == (b"v=spf1 -all",)
    assert names.exchanges("Example.ORG.") == ((10, "mx.example.org"),)
    assert names.addresses("mx.example.org", "A") == ("192.0.2.1",)
    assert names.pointers("1.2.0.192.in-addr.arpa") == ("mx.example.org",)
    assert names.texts("mx.example.org") == names.texts("no.example.org") == ()
    assert [names.exists(n) for n in ("example.org", "org", "no.example.org")] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("name", ["x" * 64 + ".org", "a..b", "", ".", "\udc80", "a" * 300])
def test_names_that_cannot_be(names: Names, name: str) -> None:
    assert names.texts(name) == ()


def test_servers_in_trouble(names: Names) -> None:
    for _ in range(2):
        with pytest.raises(Unanswered, match=r"^broken\.example\.org"):
            names.texts("broken.example.org")


def test_aliases_in_a_zone_file() -> None:
    names = ZoneFile(MASTER_FILE)
    assert names.addresses("www.example.org", "A") == ("192.0.2.1",)
    with pytest.raises(Unanswered, match="too many aliases"):
        names.addresses("round.example.org", "A")


@pytest.mark.parametrize("text", ["nonsense", "example.org A 1.2.3", "\0", 'example.org TXT "'])
def test_what_is_no_zone_file(text: str) -> None:
    with pytest.raises(ValueError, match="no zone file"):
        ZoneFile(text)


def test_a_longer_text_is_as_if_it_were_not_there() -> None:
    pieces = " ".join(['"' + "x" * 250 + '"'] * (limits.DNS_TEXT // 250 + 1))
    names = ZoneFile(f'example.org TXT {pieces}\nexample.org TXT "short"\n')
    assert names.texts("example.org") == (b"short",)


def test_answers_are_kept_as_long_as_the_process_lives() -> None:
    with server(ZONE) as made:
        for _message in range(3):
            names = Resolved((made.address,), 20)
            assert names.texts("example.org") == (b"v=spf1 -all",)
            assert names.texts("no.example.org") == ()
        assert len(made.asked) == 2


def test_silence_takes_no_longer_than_all_questions_may() -> None:
    with server(None) as made:
        names = Resolved((made.address,), 0.3)
        for number in range(20):
            with pytest.raises(Unanswered):
                names.texts(f"{number}.example.org")
        assert len(made.asked) < 20


def test_a_message_has_so_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "DNS_QUESTIONS", 2)
    with server(ZONE) as made:
        names = Resolved((made.address,), 20)
        assert names.texts("a.example.org") == names.texts("b.example.org") == ()
        with pytest.raises(Unanswered, match="more than 2 questions"):
            names.texts("c.example.org")


def test_nobody_listens() -> None:
    with server(ZONE) as gone:
        pass
    with pytest.raises(Unanswered):
        Resolved((gone.address,), 0.3).texts("example.org")
