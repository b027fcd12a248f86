"""What stands in the DNS: records of SPF, DMARC and DKIM, zone files, and what servers send.

Whoever attacks publishes what he likes under names of his own, and answers for them as he likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import ip_address
from types import SimpleNamespace
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.nameserver
import dns.resolver

from mdeliver import limits
from mdeliver.audit import names as audited
from mdeliver.audit import spfquery, transport
from mdeliver.audit.host import Host
from mdeliver.authentication import lookups
from mdeliver.authentication.client import Client
from mdeliver.authentication.dmarc import check_dmarc
from mdeliver.authentication.lookups import Names, Resolved, Unanswered, ZoneFile
from mdeliver.authentication.results import Result
from mdeliver.authentication.signed import KeyRefused, Keys
from mdeliver.authentication.spf import check_spf
from mdeliver.authentication.wording import as_text, field_text
from mdeliver.dkim import record as key_records
from tests import signing
from tests.fuzz.fixedkey import fixed_key
from tests.fuzz.target import Target, case_texts, is_printable

RESULTS = {"none", "pass", "fail", "softfail", "neutral", "policy", "temperror", "permerror"}
_QUESTIONS = 200
"""More than any message may cause: ten terms of SPF with ten hosts each, walks up the tree."""


class Published(Names):
    """What a fuzzer publishes: lines `NAME KIND VALUE`; `NAME ?` does not answer."""

    def __init__(self, lines: list[bytes]) -> None:
        self.asked = 0
        self._silent: set[str] = set()
        self._values: dict[tuple[str, str], list[bytes]] = {}
        for line in lines:
            words = line.split(b" ", 2)
            name = words[0].decode("latin-1").lower().rstrip(".")
            if words[1:2] == [b"?"]:
                self._silent.add(name)
            elif len(words) == 3:
                kind = words[1].decode("latin-1")
                self._values.setdefault((name, kind), []).append(words[2])

    def _of(self, name: str, kind: str) -> list[bytes]:
        self.asked += 1
        name = name.lower().rstrip(".")
        if name in self._silent:
            raise Unanswered(f"{name} does not answer")
        return self._values.get((name, kind), [])[:20]

    def texts(self, name: str) -> tuple[bytes, ...]:
        return tuple(self._of(name, "TXT"))

    def addresses(self, name: str, kind: str) -> tuple[str, ...]:
        found = self._of(name, kind)
        wanted = {b"1": "192.0.2.1", b"2": "192.0.2.2"} if kind == "A" else {b"1": "2001:db8::1"}
        return tuple([wanted.get(value[:1], next(iter(wanted.values()))) for value in found])

    def exchanges(self, name: str) -> tuple[tuple[int, str], ...]:
        return tuple([(n, _host(value)) for n, value in enumerate(self._of(name, "MX"))])

    def pointers(self, name: str) -> tuple[str, ...]:
        return tuple([_host(value) for value in self._of(name, "PTR")])

    def exists(self, name: str) -> bool:
        self.asked += 1
        name = name.lower().rstrip(".")
        if name in self._silent:
            raise Unanswered(f"{name} does not answer")
        return any(known == name or known.endswith(f".{name}") for known, _kind in self._values)


def _host(value: bytes) -> str:
    """A name as dnspython writes one: printable ASCII."""
    return "".join(chr(octet) if 32 < octet < 127 else f"\\{octet:03d}" for octet in value[:200])


class _AsAudited(audited.Names):
    """The same answers, in the form that the audit asks for."""

    def __init__(self, names: Published) -> None:
        super().__init__()
        self._names = names

    def ask(self, name: str, kind: str) -> audited.Answer:
        name = name.rstrip(".").lower()
        try:
            match kind:
                case "TXT":
                    texts = self._names.texts(name)
                    values = [text.decode("utf-8", "replace") for text in texts]
                case "MX":
                    values = [f"{number} {host}" for number, host in self._names.exchanges(name)]
                case "PTR":
                    values = list(self._names.pointers(name))
                case _:
                    values = list(self._names.addresses(name, kind))
        except Unanswered as unanswered:
            return audited.Answer("trouble", (), str(unanswered))
        return audited.Answer("found" if values else "nothing", tuple(values))


def policy(octets: bytes) -> None:
    """A policy of MTA-STS, as a web server gives it: findings, whatever it says."""
    exchangers = SimpleNamespace(exchangers=lambda _domain: ([(10, "mail.example.org")], ""))
    host = SimpleNamespace(names=exchangers, identity=SimpleNamespace(names=("mail.example.org",)))
    for found in transport._policy(
        cast("Host", host), "example.org", octets.decode("utf-8", "replace")
    ):
        assert found.level in ("fine", "advice", "warning", "failure")
        assert is_printable(found.what), found.what


def spf(octets: bytes) -> None:
    """Any records have one result, the same each time, for few questions.

    The first line is `CLIENT HELO SENDER`. What the audit finds no fault with is no permerror.
    """
    who, *lines = octets.split(b"\n")
    chosen, _, rest = who.partition(b" ")
    helo, _, sender = rest.decode("utf-8", "surrogateescape").partition(" ")
    address = "2001:db8::1" if chosen == b"6" else "192.0.2.1"
    client = Client(address, "", helo, "")
    asked = []
    for _again in range(2):
        names = Published(lines)
        result = check_spf(client, sender, names, ("forwarder.example",), "mail.example.org")
        assert result.result in RESULTS, result
        assert names.asked <= _QUESTIONS, names.asked
        asked.append(result)
    assert asked[0] == asked[1]
    _well_written(asked[0])
    _audited(lines)


def _well_written(result: Result) -> None:
    """RESULT is one line wherever it is written."""
    for text in (field_text("h", [result]), as_text([result])):
        assert text.isascii(), text
        assert text.isprintable(), text


def _audited(lines: list[bytes]) -> None:
    """What the audit says of a record, a delivery finds as well."""
    published = Published(lines)
    address = ip_address("192.0.2.1")
    survey = spfquery.survey(address, "bank.example", _AsAudited(published))
    assert published.asked <= 10 * _QUESTIONS, published.asked
    if survey.error or survey.trouble or survey.terms > spfquery.MOST_TERMS or survey.void:
        return
    client = Client(str(address), "", "bank.example", "")
    found = check_spf(client, "postmaster@bank.example", Published(lines), (), "localhost")
    assert found.result not in ("permerror", "temperror"), (found, survey)


def dmarc(octets: bytes) -> None:
    """Any records have one result for few questions; a record is what begins with its version."""
    who, *lines = octets.split(b"\n")
    author, _, signer = who.decode("utf-8", "replace").partition(" ")
    names = Published(lines)
    spf_result = Result("spf", "fail", (("smtp.mailfrom", "evil.example"),))
    signatures = (Result("dkim", "pass", (("header.d", signer),)),)
    found = check_dmarc((author,), 1, spf_result, signatures, names)
    assert found.result in RESULTS
    assert names.asked <= _QUESTIONS
    _well_written(found)
    if found.result == "pass":
        # Nobody answers for a domain of another registrant.
        assert _top(signer) == _top(author), (signer, author)
    for text in Published(lines)._values.get(("_dmarc.bank.example", "TXT"), []):
        version, _, value = text.partition(b";")[0].partition(b"=")
        known = version.rstrip(b" \t") in (b"v", b"V") and value.strip(b" \t") == b"DMARC1"
        alone = Published([b"_dmarc.bank.example TXT " + text])
        judged = check_dmarc(("bank.example",), 1, spf_result, (), alone)
        assert known == (judged.result != "none"), text


def _top(domain: str) -> str:
    return domain.lower().strip().rstrip(".").rpartition(".")[2]


def key(octets: bytes) -> None:
    """A key's record: what `mdeliver dkim` calls fine is a key that deliveries take, and no other.

    (A key of few bits is taken here, and refused by who asks for more.)
    """
    text = octets.decode("utf-8", "replace")
    keys = Keys(Published([b"sel TXT " + text.encode()]), float("inf"))
    if "\n" in text:
        return
    try:
        published = key_records.read(text)
        fine = key_records.weakness(published) == ""
    except key_records.RecordError:
        published, fine = None, False
    keys.wanted = published.algorithm.encode() if published else b"rsa"
    try:
        keys(b"sel")
        taken = True
    except (KeyRefused, Unanswered):
        taken = False
    if published is not None and fine:
        assert taken, text
        assert published.algorithm != "rsa" or keys.bits == key_records.bits_of(published)


def zone(octets: bytes) -> None:
    """A zone file: refused with ValueError, or names that have records or none."""
    try:
        names = ZoneFile(octets.decode("utf-8", "replace"))
    except ValueError:
        return
    for name in ("bank.example", "a.bank.example", "\\255.", "é.example", "x" * 64, ""):
        for ask in (names.texts, names.exchanges, names.pointers, names.exists):
            with suppress(Unanswered):
                ask(name)
        for kind in ("A", "AAAA"):
            with suppress(Unanswered):
                for address in names.addresses(name, kind):
                    ip_address(address)


class _Server(dns.nameserver.Nameserver):
    """A server that answers every question with the same octets, but for their number and name."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __str__(self) -> str:
        return "the fuzzer"

    def kind(self) -> str:
        return "fuzz"

    def is_always_max_size(self) -> bool:
        return False

    def answer_nameserver(self) -> str:
        return "192.0.2.53"

    def answer_port(self) -> int:
        return 53

    def query(
        self, request: dns.message.QueryMessage, *_args: object, **_options: object
    ) -> dns.message.Message:
        wire = request.to_wire()
        # RFC 1035 4.1: number, flags, four counts; then the question, as it was asked.
        octets = wire[:2] + self._octets[:10].ljust(10, b"\0") + wire[12:] + self._octets[10:]
        return dns.message.from_wire(octets, ignore_trailing=False)


def answers(octets: bytes) -> None:
    """Whatever a server sends: records that are what they should be, or Unanswered."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [_Server(octets)]
    resolver.cache = dns.resolver.LRUCache(limits.DNS_KEPT)
    asked = lookups._resolver
    lookups._resolver = lambda _servers: resolver  # type: ignore[assignment]  # without its cache
    try:
        names = Resolved(("fuzz",), 0.3)
        with suppress(Unanswered):
            assert all(len(text) <= limits.DNS_TEXT for text in names.texts("t.example"))
        for kind in ("A", "AAAA"):
            with suppress(Unanswered):
                for address in names.addresses("a.example", kind):
                    assert ip_address(address).version == (4 if kind == "A" else 6)
        with suppress(Unanswered):
            for preference, host in names.exchanges("m.example"):
                assert 0 <= preference < 1 << 16
                assert host.isascii()
        with suppress(Unanswered):
            assert all(host.isascii() and "\n" not in host for host in names.pointers("p.example"))
        with suppress(Unanswered):
            names.exists("e.example")
    finally:
        lookups._resolver = asked


# --- what they begin with --------------------------------------------------------------------

_TERMS = (
    b"v=spf1 ", b"a ", b"mx ", b"ptr ", b"-all", b"~all", b"?all", b"include:", b"redirect=",
    b"exists:", b"ip4:192.0.2.0/24 ", b"ip6:2001:db8::/32 ", b"exp=", b"%{i}", b"%{s}", b"%{d1r-}",
    b"%{p}", b"%{", b"//64", b"/33", b"bank.example", b" TXT ", b" A 1", b" AAAA 1", b" MX ",
    b" PTR ", b" ?", b"\nbank.example TXT v=spf1 ", b"\n1.2.0.192.in-addr.arpa PTR ", b"postmaster",
)  # fmt: skip
_RECORDS = (
    b"v=DMARC1", b"; p=reject", b"; p=none", b"; sp=", b"; np=", b"; psd=y", b"; psd=n",
    b"; adkim=s",
    b"; aspf=r", b"\n_dmarc.example TXT ", b"\n_dmarc.bank.example TXT ", b"bank.example",
    b"a.b.c.d.e.f.g.h.bank.example", b" ?", b"co.uk", b"\t", b"V = DMARC1", b"\x0b", b";;",
)  # fmt: skip


def _spf_seeds() -> Iterator[bytes]:
    for text in case_texts("authentication"):
        records = re.findall(rb'^(\S+)\s+TXT\s+"(.*)"', text, re.MULTILINE)
        if records:
            name = records[0][0]
            lines = [b"%b TXT %b" % pair for pair in records]
            yield b"4 helo.example x@%b\n%b" % (name, b"\n".join(lines))
    yield (
        b"4 helo.example x@bank.example\nbank.example TXT v=spf1 a mx:m.example include:i.example"
        b" exists:%{ir}.e.example ptr redirect=r.example\nbank.example A 1\n"
        b"m.example MX 1.m.example\n1.m.example A 2\ni.example TXT v=spf1 ip4:192.0.2.9 -all\n"
        b"r.example TXT v=spf1 ?all\n1.2.0.192.in-addr.arpa PTR x.bank.example\nx.bank.example A 1"
    )


def _dmarc_seeds() -> Iterator[bytes]:
    yield b"a.bank.example bank.example\n_dmarc.bank.example TXT v=DMARC1; p=reject; sp=none"
    yield b"bank.example x.bank.example\n_dmarc.bank.example TXT v=DMARC1;adkim=s;np=reject;psd=n"
    yield b"a.b.c.d.e.f.g.h.co.uk x.co.uk\n_dmarc.co.uk TXT v=DMARC1; p=none; psd=y\n_dmarc.uk ?"


_STRONG = (
    b"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyeqRJqq7L49d25MgSytpGnwjhuVyA79/BZkUXNS9"
    b"zEsWLlr+ZutqyHvzgvJzYhcoHWpCsQYD3DAh5u2H11nf0EIyG1X7/N9HCjE8gifkQNFKRBNnUCK1g5UQvzvn"
    b"UMm/KoZHu5572VO+vIXIvTrbsNW/0N0zxNg67x7egctn8WdLHcwbnCvYuMP/y2aji/KjJxAaiZ2S02MIH460"
    b"q+8JitNadiFRX89Rjsj8zVdVu4Cv1I+/WhP80FZNzUow8CazHqT3G/JFRxjvyF3mCelWlw6hPV21AQihyckX"
    b"uPuY79b/4W8UjrC8PhGhsYVWVt/NU3y807TD058LN0rXiIosQwIDAQAB"
)
"""A public key of 2048 bits, whose other half nobody has."""


def _keys() -> Iterator[bytes]:
    yield b"v=DKIM1; k=rsa; h=sha256; s=email; p=" + _STRONG
    yield signing.key_record(fixed_key()).encode()
    yield signing.key_record(fixed_key(), "h=sha256:sha1; s=email; t=s; n=note; ").encode()
    yield b"v=DKIM1; k=ed25519; p=" + b"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
    yield b"p="


_ZONE = (
    b'bank.example TXT "v=spf1" " -all"\nbank.example MX 10 mx.bank.example.\n'
    b"$ORIGIN bank.example.\na A 192.0.2.1\na AAAA ::1\nb CNAME a\n; no answer: c.example\n"
    b"* TXT x\n1.0 PTR a\n"
)


def _answers() -> Iterator[bytes]:
    """Flags, counts, then an answer to a question by the name that was asked."""
    record = b"\xc0\x0c\0%b\0\1\0\0\0\x3c\0%b"
    for kind, value in (
        (b"\x10", b"\x0a\x09v=spf1 -a"),
        (b"\1", b"\4\xc0\0\2\1"),
        (b"\x1c", b"\x10" + b"\x20\1\x0d\xb8" + b"\0" * 11 + b"\1"),
        (b"\x0f", b"\6\0\x0a\2mx\0"),
        (b"\x0c", b"\4\2mx\0"),
        (b"\5", b"\3\1c\0"),
    ):
        yield b"\x81\x80\0\1\0\1\0\0\0\0" + record % (kind, value)
    yield b"\x81\x83\0\1\0\0\0\0\0\0"
    yield b"\x83\x80\0\1\0\0\0\0\0\0"


TARGETS = {
    "policy": Target(
        policy,
        lambda: [b"version: STSv1\nmode: enforce\nmx: *.example.org\nmax_age: 604800\n"],
        (b"version: STSv1", b"mode: ", b"none", b"testing", b"mx: ", b"max_age: ", b"9" * 4400,
         "²".encode(), b"\r\n", b"\x1b", b":"),
    ),
    "spf": Target(spf, _spf_seeds, _TERMS),
    "dmarc": Target(dmarc, _dmarc_seeds, _RECORDS),
    "key": Target(
        key,
        _keys,
        (b"v=DKIM1", b"; ", b"k=rsa", b"k=ed25519", b"h=", b"sha256", b"s=", b"t=y", b"p=", b"\t",
         b"=", b":", b"email", b"*"),
    ),
    "zone": Target(
        zone,
        lambda: [_ZONE],
        (b"CNAME ", b" TXT ", b"$ORIGIN ", b"$INCLUDE ", b"$GENERATE 1-9 ", b"(", b")", b'"', b";",
         b"\\255", b" IN ", b"; no answer: ", b"@", b"*", b"$TTL ", b"\n"),
    ),
    "dns": Target(
        answers,
        _answers,
        (b"\xc0\x0c", b"\0\x10\0\1", b"\0\1\0\1", b"\0\x1c\0\1", b"\0\x0f\0\1", b"\0\5\0\1",
         b"\x81\x80", b"\x81\x83", b"\x83\x80", b"\0\x06\0\1", b"\0\0\0\x3c", b"\xff"),
    ),
}  # fmt: skip
