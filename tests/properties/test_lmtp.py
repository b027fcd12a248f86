"""LMTP does not depend on how the octets are split, and only CR LF . CR LF ends a message."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdeliver.lmtp.commands import Refusal, parse_mail
from mdeliver.lmtp.content import ChunkReader, DotReader, Gauge
from mdeliver.lmtp.events import Asked, Content, Dropped, Ended, Offers, TlsWanted
from mdeliver.lmtp.protocol import Engine

OPENING = b"LHLO mx\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\n"

# Everything that some server has been seen to take for a line's end, and dots.
PIECES = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b".", b"..", b"a", b"", b"\r\n.\r", b"\r\n.\n", b"\n.\r\n", b"\n.\n",
     b"\r.\r", b"\r\n.\r\r\n", b"\x00", b"\xff", b"MAIL FROM:<x@example.org>\r\n", b"\r\n..\r\n"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=12).map(b"".join)
COMMANDS = st.sampled_from(
    [b"LHLO mx", b"EHLO mx", b"NOOP", b"RSET", b"MAIL FROM:<a@example.org>", b"MAIL FROM:<> SIZE=3",
     b"RCPT TO:<b@example.org>", b"RCPT TO:<refused@example.org>", b"DATA", b"BDAT 5",
     b"BDAT 2 LAST", b"BDAT 0 LAST", b"text", b".", b"..", b"\rNOOP", b"NOOP\n", b"STARTTLS",
     b"XFORWARD NAME=x", b"x" * 5000, b"QUIT"]
)  # fmt: skip
SESSIONS = st.lists(COMMANDS.map(lambda line: line + b"\r\n"), max_size=25).map(b"".join)


def run(engine: Engine, pieces: list[bytes]) -> tuple[list[object], bytes]:
    """What happens, pieces of content joined, and all that is sent; the host answers at once."""
    events: list[object] = []
    sent = b""
    for piece in (b"", *pieces):
        engine.receive(piece)
        while event := engine.next_event():
            if isinstance(event, Content) and events and isinstance(events[-1], Content):
                events[-1] = Content(events[-1].octets + event.octets)
            elif not isinstance(event, Dropped):
                events.append(event)
            sent += engine.take_output()
            match event:
                case Asked(rcpt=rcpt) if rcpt.recipient.startswith("refused"):
                    engine.refuse("550 5.1.1 no such user")
                case Asked():
                    engine.allow()
                case Ended(recipients=recipients):
                    for place in reversed(range(len(recipients))):
                        engine.settle(place, f"250 2.0.0 {place}")
                case TlsWanted():
                    engine.tls_started()
        sent += engine.take_output()
    return events, sent


def split(octets: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(octets) + 1) for cut in cuts), len(octets)]
    return [octets[a:b] for a, b in pairwise(at)]


def dotted(text: bytes) -> bytes:
    """TEXT as a correct client sends it, whatever is in it."""
    whole = (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]
    return whole + (b"" if whole.endswith(b"\r\n") or not whole else b"\r\n") + b".\r\n"


@given(SESSIONS, st.lists(st.integers(0, 100_000), max_size=20))
def test_any_split_of_a_session_is_the_same(session: bytes, cuts: list[int]) -> None:
    # STARTTLS looks at what came in the same segment, which is its very point.
    session = session.replace(b"STARTTLS", b"NOOP")
    whole = run(Engine(Offers("mx", 100)), [session])
    assert run(Engine(Offers("mx", 100)), split(session, cuts)) == whole
    assert run(Engine(Offers("mx", 100)), [bytes((octet,)) for octet in session]) == whole


@given(SESSIONS)
def test_every_reply_is_a_line_with_codes(session: bytes) -> None:
    _, sent = run(Engine(Offers("mx", 100, starttls=True, xforward=True)), [session])
    for line in sent.split(b"\r\n")[1:-1]:
        assert line[:3].isdigit(), line
        assert line[3:4] in b"- ", line
        assert line.startswith((b"250-", b"250 ", b"354 ")) or line[4:8].count(b".") == 2, line
        assert len(line) <= 510, line


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=6))
@example(b"", [])
@example(b".", [])
@example(b"\r\n", [])
@example(b"a\n.\nMAIL FROM:<x@example.org>\n", [])
def test_what_is_sent_is_what_arrives(text: bytes, cuts: list[int]) -> None:
    session = OPENING + b"DATA\r\n" + dotted(text) + b"NOOP\r\n"
    events, sent = run(Engine(Offers("mx")), split(session, cuts))
    content = b"".join(event.octets for event in events if isinstance(event, Content))
    # The transport adds the end of the last line, and nothing else.
    if text and not text.endswith(b"\r\n"):
        text += b"\r\n"
    assert content == text.replace(b"\r\n", b"\n")
    assert [type(event) for event in events if not isinstance(event, Content)] == [Asked, Ended]
    assert sent.endswith(b"250 2.0.0 0\r\n250 2.0.0 ok\r\n")


@given(TEXTS)
def test_no_other_end_ends_a_message(text: bytes) -> None:
    text = (b"x" + text).replace(b"\r\n.\r\n", b"")
    while b"\r\n.\r\n" in text:
        text = text.replace(b"\r\n.\r\n", b"")
    events, sent = run(Engine(Offers("mx")), [OPENING + b"DATA\r\n" + text])
    assert not any(isinstance(event, Ended) for event in events)
    assert sent.count(b"\r\n354 ") == 1
    assert sent.split(b"\r\n354 ")[1].count(b"\r\n") == 1


@given(
    TEXTS, st.lists(st.integers(0, 1000), max_size=5), st.lists(st.integers(0, 1000), max_size=5)
)
def test_chunks_carry_any_octets(text: bytes, chunks: list[int], cuts: list[int]) -> None:
    parts = split(text, chunks)
    session = OPENING
    for place, part in enumerate(parts):
        last = b" LAST" if place == len(parts) - 1 else b""
        session += b"BDAT %d%s\r\n%s" % (len(part), last, part)
    events, sent = run(Engine(Offers("mx")), split(session, cuts))
    content = b"".join(event.octets for event in events if isinstance(event, Content))
    assert content == text.replace(b"\r\n", b"\n")
    assert sent.endswith(b"250 2.0.0 0\r\n")


@given(st.lists(st.binary(max_size=30), max_size=10), st.integers(1, 60))
def test_size_is_measured_however_it_comes(pieces: list[bytes], limit: int) -> None:
    gauge = Gauge(limit, 0, 0)
    refused = [bool(gauge.measure(piece)) for piece in pieces]
    assert any(refused) == (sum(map(len, pieces)) > limit)


@given(TEXTS, st.lists(st.integers(0, 1000), max_size=6), st.integers(1, 9))
def test_lines_and_head_are_measured_however_they_come(
    text: bytes, cuts: list[int], limit: int
) -> None:
    def judged(gauge: Gauge, pieces: list[bytes]) -> bool:
        refusals = [gauge.measure(piece) for piece in pieces]
        return any(refusals)

    longest = max(map(len, text.split(b"\n")))
    head = text.find(b"\n\n") + 1 if b"\n\n" in text else len(text)
    head = 0 if text.startswith(b"\n") else head
    for pieces in ([text], split(text, cuts), [bytes((octet,)) for octet in text]):
        assert judged(Gauge(0, 0, limit), pieces) == (longest > limit)
        assert judged(Gauge(0, limit, 0), pieces) == (head > limit)


@settings(max_examples=20)
@given(st.binary(max_size=300))
def test_no_octets_raise(octets: bytes) -> None:
    run(Engine(Offers("mx", 100, starttls=True, xforward=True)), [octets, OPENING, octets])


@given(st.text('<>"\\ a', max_size=12))
@example('"a>b">')
@example('"\\">">')
def test_a_path_ends_at_the_first_bracket_outside_quotes(path: str) -> None:
    """Found here octet by octet."""
    quoted = escaped = False
    end = -1
    for at, letter in enumerate(path):
        if letter == ">" and not quoted:
            end = at
            break
        quoted ^= letter == '"' and not escaped
        escaped = quoted and letter == "\\" and not escaped
    whole = end >= 0 and path[end + 1 : end + 2] in ("", " ")
    try:
        parse_mail(f"FROM:<{path}".encode(), 0)
        refused = False
    except Refusal as refusal:
        refused = "say MAIL FROM" in refusal.reply
    assert refused != whole


def test_readers_hold_back_next_to_nothing() -> None:
    for reader in (DotReader(), ChunkReader()):
        if isinstance(reader, ChunkReader):
            reader.begin(10_000_000, last=True)
        buffer = bytearray()
        for _ in range(100):
            buffer += b"x" * 999 + b"\r"
            reader.take(buffer)
            assert len(buffer) <= 4
