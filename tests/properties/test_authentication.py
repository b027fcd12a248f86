"""Whatever a sender writes, signs or publishes: each method has a result, soon."""

from __future__ import annotations

import os
import socket
from threading import Thread

from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.authentication.client import Client
from mdeliver.authentication.computed import compute
from mdeliver.authentication.lookups import Names, Resolved, Unanswered, ZoneFile
from mdeliver.authentication.results import Result, parse_results
from mdeliver.authentication.spf import check_spf
from mdeliver.authentication.wording import METHODS, as_text, field_text
from mdeliver.envelope import Envelope
from mdeliver.message import Message
from mdeliver.settings import Checking, Site
from tests.cputime import cpu_limit
from tests.signing import key_record, rsa_key, sealed, signed

RESULTS = {"none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror"}
SOON_S = 10.0
CLIENT = Client("192.0.2.1", "", "helo.example", "")
SITE = Site(
    hostname="mail.example.org", checking=Checking(compute="asked", sealers=("example.org",))
)
MESSAGE = b"From: ann@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhello\r\n"


class Published(Names):
    """The same TXT records, addresses and hosts for every name."""

    def __init__(self, *texts: bytes) -> None:
        self._texts = texts

    def texts(self, name: str) -> tuple[bytes, ...]:
        return self._texts

    def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        return ("192.0.2.9",) if kind == "A" else ("2001:db8::9",)

    def exchanges(self, name: str) -> tuple[tuple[int, str], ...]:
        return tuple((n, f"{n}.{name}"[-200:]) for n in range(3))

    def pointers(self, name: str) -> tuple[str, ...]:
        return (f"mx.{name}"[-200:], "..")

    def exists(self, name: str) -> bool:
        return False


terms = st.sampled_from(
    "a mx ptr all exists include ip4 ip6 redirect= exp= moo= : / // . = ~ - ? % %% %{ } %{d} %{ir}"
    " %{l1r-} example.org 192.0.2.1 ::1 99 v=spf1".split()
)
records = st.lists(st.one_of(terms, st.just(" ")), max_size=30).map("".join)


@given(records, st.sampled_from(["ann@example.org", "", "@", "a b@c", "x@" + "y." * 200]))
def test_any_spf_record_has_a_result(record: str, sender: str) -> None:
    names = Published(f"v=spf1 {record}".encode())
    with cpu_limit(SOON_S):
        assert check_spf(CLIENT, sender, names, (), "here.example").result in RESULTS


@given(st.lists(st.binary(max_size=200), max_size=3))
def test_any_octets_in_the_dns_have_a_result(texts: list[bytes]) -> None:
    message = sealed(
        signed(MESSAGE, rsa_key(), "example.org"), rsa_key(), "example.org", "spf=pass"
    )
    check(message, Published(*texts))


def check(message: bytes, names: Names) -> None:
    came = Message(message.partition(b"\r\n\r\n")[0], len(message))
    envelope = Envelope("bob", "/home/bob", 1000, sender="a@b.example", client_address="192.0.2.1")
    with cpu_limit(SOON_S):
        found = compute(came, [message], envelope, SITE, names)
    assert {result.method for result in found.results} == set(METHODS)
    assert {result.result for result in found.results} <= RESULTS
    assert "\n" not in field_text("host", found.results)


tags = st.sampled_from("a b bh c d h i l q s t v x z cv = ; , : /".split())
values = st.one_of(
    tags,
    st.sampled_from(
        "rsa-sha256 ed25519-sha256 relaxed/relaxed simple example.org sel from:to 1 AAAA".split()
    ),
    st.text(" \t", min_size=1, max_size=70),
    st.binary(max_size=8).map(lambda octets: octets.decode("latin-1").replace("\n", "")),
)
field_names = st.sampled_from(
    ["DKIM-Signature", "ARC-Seal", "ARC-Message-Signature", "ARC-Authentication-Results", "From"]
)
fields = st.tuples(field_names, st.lists(values, max_size=25).map("".join))


@given(st.lists(fields, max_size=8), st.binary(max_size=100))
def test_any_signatures_have_a_result(written: list[tuple[str, str]], body: bytes) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in written)
    message = head.encode("latin-1") + b"From: ann@example.org\r\n\r\n" + body
    check(message, Published(key_record(rsa_key()).encode()))


@given(st.data())
def test_a_right_signature_with_octets_changed(data: st.DataObject) -> None:
    message = sealed(
        signed(MESSAGE, rsa_key(), "example.org"), rsa_key(), "example.org", "spf=pass"
    )
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(message)))
        cut = data.draw(st.integers(0, 20))
        message = message[:at] + data.draw(st.binary(max_size=5)) + message[at + cut :]
    check(message, Published(key_record(rsa_key()).encode()))


@given(st.text(max_size=200))
def test_any_text_is_a_zone_file_or_is_refused(text: str) -> None:
    try:
        ZoneFile(text).texts("example.org")
    except (ValueError, Unanswered):
        pass


words = st.text(max_size=30)
found_results = st.lists(
    st.builds(
        Result,
        st.sampled_from(METHODS),
        st.sampled_from(sorted(RESULTS)),
        st.lists(st.tuples(st.sampled_from(["header.d", "smtp.mailfrom"]), words)).map(tuple),
        words,
    ),
    max_size=5,
)


@given(found_results)
def test_what_is_written_is_read_as_the_same(results: list[Result]) -> None:
    authserv_id, read = parse_results(field_text("mail.example.org", results))
    assert authserv_id == "mail.example.org"
    assert [(r.method, r.result) for r in read] == [(r.method, r.result) for r in results]
    named = [[name for name, value in r.properties if value] for r in results]
    assert [[name for name, _value in r.properties] for r in read] == named
    assert parse_results(f"host; {as_text(results)}")[1] == read


@settings(max_examples=20)
@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_any_octets_from_a_server_are_no_answer(datagrams: list[bytes]) -> None:
    """What is no DNS message, or one that answers another question."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        port = door.getsockname()[1]

        def serve() -> None:
            query, client = door.recvfrom(4096)
            for datagram in datagrams:
                # With the right number: else nobody looks at it.
                door.sendto(query[:2] + datagram, client)

        server = Thread(target=serve)
        server.start()
        try:
            name = f"{os.urandom(6).hex()}.example.org"
            assert Resolved((f"127.0.0.1:{port}",), 0.05).texts(name) == ()
        except Unanswered:
            pass
        server.join()
