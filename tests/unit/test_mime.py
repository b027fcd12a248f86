"""Parts of messages: what is read from odd ones, and how long hostile ones take."""

from __future__ import annotations

import email
from email.message import EmailMessage

import mailparser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.letter import head_of
from mdeliver.message import Message
from mdeliver.mime import Body
from tests.cputime import cpu_limit
from tests.hostile_bodies import HOSTILE, multipart


def body_of(octets: bytes) -> tuple[Message, Body]:
    head, cut = head_of(octets)
    message = Message(head, len(octets), cut=cut, octets=lambda: [octets])
    return message, Body(message)


def texts(octets: bytes) -> list[str]:
    return body_of(octets)[1].texts()


def names(octets: bytes) -> list[str]:
    return body_of(octets)[1].names()


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_quick(name: str) -> None:
    message, body = body_of(HOSTILE[name])
    # A tenth of a second is promised on a machine of its own.
    with cpu_limit(2):
        seen = body.texts(), body.names(), body.types()
        walked = Body(message)
    assert walked.parts == body.parts
    assert message.limit or len(seen[0]) == 1
    assert sum(map(len, seen[0])) <= 600_000


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"\nhi\n", ["hi"]),
        (b"Subject: x\r\n\r\none\r\ntwo\r\n", ["one\ntwo"]),
        (multipart(b"x", b"\none", b"\r\ntwo"), ["one", "two"]),
        (multipart(b"x", b"\none").replace(b"--x--\n", b""), ["one"]),
        (multipart(b"x", b"\none").replace(b"\n", b"\r\n"), ["one"]),
        (b"Content-Type: multipart/mixed; boundary=x\n\n--x", [""]),
        (b"Content-Type: multipart/mixed; boundary=x\n\n--x--", []),
        (b"Content-Type: multipart/mixed; boundary=x\n\npreamble\n", []),
        (b"Content-Type: multipart/mixed\n\nno boundary\n", []),
        # A part without a head's end; a boundary in another's text; spaces behind a boundary.
        (multipart(b"x", b"Content-Type: text/plain", b"\ntwo"), ["", "two"]),
        (multipart(b"x", multipart(b"y", b"\n--z\none\n-- \nbob")), ["--z\none\n-- \nbob"]),
        (multipart(b"x", b"\none").replace(b"--x\n", b"--x \t\n"), ["one"]),
        # Boundaries alike.
        (multipart(b"x", multipart(b"x", b"\none"), b"\ntwo"), ["one"]),
        (multipart(b"x", multipart(b"x--", b"\none"), b"\ntwo"), []),
        (multipart(b"x--", multipart(b"x", b"\none"), b"\ntwo"), ["one", "", "two"]),
        (multipart(b'"a =b (c)"', b"\none").replace(b'--"a =b (c)"', b"--a =b (c)"), ["one"]),
        (multipart(b"----=_Part_1", b"\none"), ["one"]),
        # An outer end closes what is within it.
        (
            multipart(b"x", b"Content-Type: multipart/mixed; boundary=y\n\n--y\n\none", b"\ntwo"),
            ["one", "two"],
        ),
        # Messages within messages.
        (multipart(b"x", b"Content-Type: message/rfc822\n\nSubject: s\n\none"), ["one"]),
        (multipart(b"x", b"Content-Type: message/rfc822\n\n" + multipart(b"y", b"\n1")), ["1"]),
        # Encodings and charsets.
        (b"Content-Transfer-Encoding: Base64\n\nb25l\n", ["one"]),
        (b"Content-Transfer-Encoding: base64\n\nb25\n", ["on"]),
        (b"Content-Transfer-Encoding: base64\n\nb!2 5l!Q\n", ["one"]),
        (b"Content-Transfer-Encoding: quoted-printable\n\n=6fn=\ne=\n", ["one"]),
        (b"Content-Transfer-Encoding: x-unknown\n\none\n", ["one"]),
        (b"Content-Type: text/plain; charset=koi8-r\n\n\xcf\xce\n", ["он"]),
        (b"Content-Type: text/plain; charset=nonsense\n\n\xcfne\n", ["\ufffdne"]),
        (b"\n\xe4\n", ["ä"]),
        ("\nä\n".encode(), ["ä"]),
        (b"Content-Type: text/plain; charset=us-ascii\n\n\xc3\xa4\n", ["ä"]),
        (b"Content-Type: image/png\n\none\n", []),
        (b"Content-Type: nonsense\n\none\n", ["one"]),
    ],
)
def test_texts(octets: bytes, expected: list[str]) -> None:
    assert texts(octets) == expected


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('Content-Type: a/b; name="x y.exe"', ["x y.exe"]),
        ("Content-Type: a/b; name=x y.exe", ["x y.exe"]),
        ("Content-Disposition: attachment; FILENAME=x.exe", ["x.exe"]),
        # Two names: a mail program may take either.
        ("Content-Type: a/b; name=x.txt\nContent-Disposition: inline; filename=x.exe", None),
        ("Content-Disposition: attachment; filename==?utf-8?Q?=C3=A4.exe?=", ["ä.exe"]),
        ("Content-Disposition: attachment; filename*=iso-8859-1'de'%e4.exe", ["ä.exe"]),
        ("Content-Disposition: attachment; filename*0*=''a%; filename*1=\".e\";\n filename*2*=x%65",
         ["a%.exe"]),
        ("Content-Disposition: attachment; filename*1=x", []),
        ("Content-Disposition: attachment; filename", []),
        ('Content-Disposition: attachment; filename="x\\".exe', ['x".exe']),
    ],
)  # fmt: skip
def test_names(head: str, expected: list[str] | None) -> None:
    found = names(head.encode() + b"\n\nx\n")
    assert found == (["x.exe", "x.txt"] if expected is None else expected)


def test_types_are_those_of_what_is_attached() -> None:
    octets = multipart(
        b"x",
        b"\nread",
        b"Content-Type: text/html\n\nread",
        b"Content-Type: text/calendar\n\nx",
        b"Content-Type: text/plain; name=a\n\nx",
        b"Content-Type: Image/PNG\n\nx",
        b"Content-Type: message/rfc822; name=b.eml\n\n\nx",
    )
    assert body_of(octets)[1].types() == [
        "text/calendar",
        "text/plain",
        "image/png",
        "message/rfc822",
    ]


def test_a_cut_head_and_a_body_that_is_not_here() -> None:
    message = Message(b"A: b\n", 10, cut=True, octets=lambda: [b"A: b\nmore"])
    assert (Body(message).texts(), message.limit[:4]) == ([""], "the ")
    message = Message(b"\n", 10)
    assert (Body(message).names(), message.limit) == ([], "the body is not here")


PIECES = st.lists(
    st.sampled_from(
        [
            b"\n", b"\r\n", b"--x", b"--y", b"--", b"text ", b"\xff", b"=", b"Content-Type: ",
            b"multipart/mixed; boundary=x", b"multipart/mixed; boundary=y", b"message/rfc822",
            b"text/html", b"Content-Transfer-Encoding: base64", b"; name*0*=", b"%4", b"'", b'"',
            b"<b>", b"&amp;", b"&#x", b"<!--", b"=?utf-8?B?",
        ]
    ),
    max_size=40,
).map(b"".join)  # fmt: skip


@given(PIECES)
def test_any_octets_have_parts(octets: bytes) -> None:
    head, cut = head_of(octets)
    for pieces in ([octets], [octets[n : n + 1] for n in range(len(octets))]):
        message = Message(head, len(octets), cut=cut, octets=pieces.copy)
        body = Body(message)
        for part in body.parts:
            assert 0 <= part.start <= part.end <= max(len(octets) - len(head), part.start)
        found = body.texts() + body.names() + body.types()
        assert all(text.isprintable() or text.encode() for text in found)


WORDS = st.text("ab ä€.-=\n", min_size=1, max_size=200).filter(lambda text: text.strip() == text)


@settings(max_examples=50)
@given(WORDS, WORDS, st.sampled_from(["base64", "quoted-printable"]), st.text("aä€ .", min_size=1))
def test_as_the_libraries_read_it(first: str, second: str, encoding: str, name: str) -> None:
    made = EmailMessage()
    made["Subject"] = "x"
    made.set_content(first, cte=encoding)
    made.add_attachment(b"octets", "application", "octet-stream", filename=f"x{name.strip()}.bin")
    made.add_attachment(second, filename="second.txt", cte=encoding)
    octets = made.as_bytes()
    assert texts(octets) == [first, second]
    reference = email.message_from_bytes(octets, policy=made.policy)
    assert names(octets) == [part.get_filename() for part in reference.iter_attachments()]
    parsed = mailparser.parse_from_bytes(octets)
    assert parsed.text_plain[0].strip() == first
    assert len(parsed.attachments) == len(names(octets))
