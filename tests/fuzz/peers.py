"""What others say on sockets: LMTP, the launcher's door, packets, Postfix's questions."""

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Iterator

from mdeliver.lmtp import frames
from mdeliver.lmtp.accounts import read_entries, split_extension
from mdeliver.lmtp.commands import FORWARDED_NAMES
from mdeliver.lmtp.door import MAGIC, REQUEST, Malformed, read_request
from mdeliver.lmtp.events import Asked, Content, Ended, Offers, TlsWanted
from mdeliver.lmtp.jobs import Job, pack_job, unpack_job
from mdeliver.lmtp.protocol import Engine
from mdeliver.sent import socketmap
from mdeliver.sent.mailaddress import BadAddress, in_table, parse
from tests.fuzz.target import Target, case_texts, is_printable, no_control


def session(octets: bytes, pieces: list[bytes]) -> tuple[list[object], bytes]:
    """What an LMTP session comes to, and all that is said in it."""
    engine = Engine(Offers("mx", 10_000, recipients=20, starttls=True, xforward=True))
    found: list[object] = []
    said = b""
    for piece in (b"", *pieces):
        engine.receive(piece)
        while event := engine.next_event():
            said += engine.take_output()
            match event:
                case Content(octets=more) if found and isinstance(found[-1], Content):
                    found[-1] = Content(found[-1].octets + more)
                case Asked(rcpt=rcpt):
                    found.append(event)
                    if rcpt.recipient.startswith("refused"):
                        engine.refuse("550 5.1.1 no such user")
                    else:
                        engine.allow()
                case Ended(recipients=recipients):
                    found.append(event)
                    for place in reversed(range(len(recipients))):
                        engine.settle(place, f"250 2.0.0 {place}")
                case TlsWanted():
                    engine.tls_started()
                case _:
                    found.append(event)
        said += engine.take_output()
    return found, said


def lmtp(octets: bytes) -> None:
    """A session does not depend on how it is cut; each reply is one line with its codes."""
    # STARTTLS looks at what came in the same segment, which is its very point.
    octets = octets.replace(b"STARTTLS", b"NOOP").replace(b"starttls", b"noop")
    whole = session(octets, [octets])
    assert session(octets, [bytes((octet,)) for octet in octets]) == whole
    for line in whole[1].split(b"\r\n")[1:-1]:
        assert line[:3].isdigit(), line
        assert line[3:4] in b"- ", line
        assert len(line) <= 510, line
        assert is_printable(line.decode()), line
    for event in whole[0]:
        if isinstance(event, Asked):
            assert is_printable(event.rcpt.recipient + event.mail.sender), event
            assert no_control(event.rcpt.original), event
            assert event.rcpt.recipient
        if isinstance(event, Ended):
            assert set(event.forwarded) <= set(FORWARDED_NAMES), event
            assert no_control("".join(event.forwarded.values())), event


def door(octets: bytes) -> None:
    """A launcher's request: understood or malformed, and no descriptor is left open."""
    ours, theirs = socket.socketpair()
    before = len(os.listdir("/proc/self/fd"))
    count, octets = octets[:1], octets[1:]
    standard_input = os.open("/dev/null", os.O_RDONLY)
    try:
        ours.settimeout(1)
        rights = array("i", [standard_input] * (count[0] % 4 if count else 0))
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if rights else []
        theirs.sendmsg([octets[:60_000] or b"-"], ancillary)
        theirs.shutdown(socket.SHUT_WR)
        try:
            arguments, environ, fd = read_request(ours)
            os.close(fd)
            assert not any("\0" in text for text in (*arguments, *environ, *environ.values()))
            assert not any("=" in name for name in environ)
        except Malformed:
            pass
    finally:
        os.close(standard_input)
        assert len(os.listdir("/proc/self/fd")) == before
        ours.close()
        theirs.close()


def packet(octets: bytes) -> None:
    """A packet between front and worker: fields, or ValueError."""
    try:
        kind, fields = frames.unpack(octets)
        assert frames.pack(kind, *fields) == octets
        unpack_job(fields)
    except ValueError:
        pass


def socket_map(octets: bytes) -> None:
    """Postfix's questions: an answer each, or the end; as whole, so in pieces."""

    def look_up(name: str, key: str) -> str | None:
        if name == "none":
            raise socketmap.NoMap(f"there is no map {name}")
        return key if name == "sent" else None

    def answers(pieces: list[bytes]) -> tuple[bytes, bool]:
        engine = socketmap.Engine(look_up)
        said = b""
        for piece in pieces:
            try:
                said += engine.receive(piece)
            except socketmap.Broken as broken:
                return said + broken.args[0], True
        return said, False

    assert answers([octets]) == answers([bytes((octet,)) for octet in octets])


def address(octets: bytes) -> None:
    """Addresses of tables and sources: parsed or refused, never a second column or row."""
    text = octets.decode("utf-8", "surrogateescape")
    for line in text.split("\n"):
        try:
            found = parse(line)
        except BadAddress as error:
            str(error).encode("utf-8", "surrogateescape")
            continue
        key = found.key
        if in_table(key):
            assert not set(key) & set("\r\n\0")
            assert not key.startswith("#"), key
        split_extension(found.local, "+-")
    for user, home in read_entries(text):
        assert user == user.lower()
        assert "\n" not in user + home


def _sessions() -> Iterator[bytes]:
    for text in case_texts("lmtp"):
        lines = [line[3:] for line in text.split(b"\n") if line.startswith(b"C: ")]
        yield b"".join(line + b"\r\n" for line in lines or text.split(b"\n"))
    start = (
        b"LHLO mx\r\nXFORWARD NAME=a ADDR=192.0.2.1 IDENT=4F\r\nMAIL FROM:<a@b.example> SIZE=3\r\n"
    )
    start += (
        b"RCPT TO:<ann+x@example.org> ORCPT=rfc822;a+2Bb@c NOTIFY=NEVER\r\nRCPT TO:<refused@c>\r\n"
    )
    yield start + b"DATA\r\nSubject: x\r\n\r\n..x\r\n.\r\nQUIT\r\n"
    yield start + b"BDAT 5\r\nA: b\nBDAT 3 LAST\r\nabcRSET\r\nNOOP\r\nVRFY a\r\n"


def _requests() -> Iterator[bytes]:
    strings = b"-a\0USER=ann\0HOME=/home/ann\0"
    yield b"\1" + REQUEST.pack(MAGIC, 1, 2, len(strings)) + strings
    yield b"\2" + REQUEST.pack(MAGIC, 0, 1, 1 << 31) + strings


def _packets() -> Iterator[bytes]:
    yield frames.pack(frames.JOB, b"1", b"", b"x" * 40)
    job = Job(1, "", "a@b", "c@d", "", "", "", "", "", "", "", b"d" * 16, 3, b"abc")
    yield pack_job(job)


_COMMANDS = tuple(
    b"\r\n.\r\n|\r\n|\n.\r\n|LHLO |MAIL FROM:<|RCPT TO:<|DATA\r\n|BDAT 3 LAST\r\n|RSET\r\n|SIZE=|"
    b"BODY=8BITMIME|SMTPUTF8|ORCPT=rfc822;|XFORWARD |ADDR=|IDENT=|+2B|NOTIFY=|RET=HDRS|ENVID=|"
    b"NAME=|HELO=|PROTO=ESMTP|SOURCE=LOCAL|[UNAVAILABLE]|+0A|+1B|+E2+80+A8|utf-8;|\\x{202E}|"
    b'@|"|\\|>|<|:|\0|\xc3\xa9|\xff|[IPv6:::1]|AUTH=<>|refused@x'.split(b"|")
)

TARGETS = {
    "lmtp": Target(lmtp, _sessions, _COMMANDS),
    "door": Target(door, _requests, (b"MDL2", b"\0", b"=", b"HOME=", b"--user", b"\xff")),
    "packet": Target(packet, _packets, (b"\0\0\0\0", b"\xff\xff\xff\xff", b"J", b"-1", b"99999")),
    "socketmap": Target(
        socket_map,
        lambda: [b"10:sent a@b.c,", b"6:none a,0:,", b"999999:x", b"8:other \xff\xff,"],
        (b":", b",", b"sent ", b"none ", b"10:", b"0:"),
    ),
    "address": Target(
        address,
        lambda: [b'"a b"@c.example\nann@example.org', b"ann:x:1:1::/home/ann:\n b", b"#x\n@c"],
        (b'"', b"\\", b"@", b"#", b":", b"\t", b"\n ", b"\xff", b"[192.0.2.1]", b"xn--"),
    ),
}
