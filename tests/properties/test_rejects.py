"""Whatever stands in a log: no crash, no hang, and nothing printed that a terminal would obey."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mdeliver.postfix import rejects, rejectstext
from mdeliver.postfix.events import Refusal, _decision, _odd_decision, events
from mdeliver.postfix.history import History, Taken
from mdeliver.postfix.judgement import judge
from mdeliver.postfix.logfiles import Block
from mdeliver.postfix.maillog import LINE_BYTES, Clock
from mdeliver.postfix.readlogs import events_of
from tests.casefile import cases
from tests.cputime import cpu_limit

WRITTEN_S = 1_796_040_000.0
LINES = [line.encode() for case in cases("rejects") for line in case.text.splitlines()]
PIECES = [
    *(b"; from=<", b"> to=<", b"> proto=ESMTP helo=<", b'"', b"\\", b">", b"]: ", b"[", b": "),
    *(b"NOQUEUE: reject: RCPT from ", b" rejected: ", b"\x1b[2J", b"\xe2\x80\xae", b"\xff", b"\0"),
    *(b'{"MESSAGE":', b"postfix/smtpd[1]: ", b" status=sent ", b"\n", b"<>", b"@", b"\r"),
]
HEAD = b"Nov 22 10:00:00 mail postfix/smtpd[1]: "


@st.composite
def broken_lines(draw: st.DrawFn) -> bytes:
    """A real line with pieces put in, taken out and doubled."""
    line = draw(st.sampled_from(LINES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(line)))
        end = draw(st.integers(start, min(len(line), start + 20)))
        put = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)))
        line = line[:start] + put + line[end:]
    return line


LOGS = st.lists(
    st.one_of(broken_lines(), st.binary(max_size=200), st.sampled_from(LINES)), max_size=12
)


def shown(log: list[bytes]) -> list[str]:
    """Everything that can be printed of a log."""
    history = History()
    lines: list[str] = []
    for event in events(b"\n".join(log), Clock(WRITTEN_S)):
        refusal = history.add(event)
        if refusal is not None:
            attempt = history.attempt_of(refusal)
            case = rejects.Case(attempt, judge(attempt, history))
            lines += rejectstext.live_line(case)
    findings = rejects.find(history)
    lines += rejectstext.report(findings, lambda _colour, words: words, 3, every=True)
    lines += [json.dumps(rejects.case_as_object(case)) for case in findings.every]
    assert sum(case.attempt.count for case in findings.every) == sum(
        history.refused_of_client.values()
    )
    return lines


@given(LOGS)
@example([b"Nov 21 08:00:00 mail postfix/smtpd[1]: D1: client=; from=<x[192.0.2.77]"])
def test_any_log_gives_a_report_that_can_be_printed(log: list[bytes]) -> None:
    for line in shown(log):
        assert line.isprintable(), line


STEPS = (
    *(b"smtpd[1]: %s: client=x.example[192.0.2.1]", b"smtpd[1]: %s: client=unknown[192.0.2.2]"),
    *(b"qmgr[1]: %s: from=<a@x.example>, size=1, nrcpt=1 (queue active)", b"qmgr[1]: %s: removed"),
    b"local[1]: %s: to=<ann@example.org>, relay=local, dsn=2.0.0, status=sent (ok)",
    b"smtp[1]: %s: to=<b@y.example>, relay=y[192.0.2.9]:25, dsn=2.0.0, status=sent (ok)",
    b"smtpd[1]: %s: reject_warning: RCPT from x.example[192.0.2.1]: 450 4.7.1 x; from=<a@x.example>"
    b" to=<ann@example.org> proto=ESMTP helo=<x>",
    b"smtpd[1]: NOQUEUE: reject: RCPT from x.example[192.0.2.1]: 450 4.7.1 %s; from=<a@x.example>"
    b" to=<ann@example.org> proto=ESMTP helo=<x>",
)
STEP = st.tuples(st.sampled_from(STEPS), st.sampled_from((b"A1", b"B2", b"NOQUEUE")))


def in_any_order(taken: dict[str, Taken]) -> dict[str, tuple[int, float, set[str]]]:
    return {key: (x.messages, x.last_s, set(x.networks)) for key, x in taken.items()}


@given(st.lists(STEP, max_size=30))
def test_a_block_says_the_same_as_its_lines(steps: list[tuple[bytes, bytes]]) -> None:
    lines = [
        b"Nov 22 10:00:%02d mail postfix/" % second + step % queue_id
        for second, (step, queue_id) in enumerate(steps)
    ]
    by_lines, by_blocks = History(), History()
    by_lines.add_all(events(b"\n".join(lines), Clock(WRITTEN_S)))
    by_blocks.add_all(events_of(Block(b"\n".join(lines), WRITTEN_S, 0)))
    for known in ("wrote", "came_through", "own_domains"):
        assert getattr(by_blocks, known) == getattr(by_lines, known)
    for known in ("senders", "clients"):
        assert in_any_order(getattr(by_blocks, known)) == in_any_order(getattr(by_lines, known))
    assert by_blocks.attempts.keys() == by_lines.attempts.keys()


ADDRESS = st.text(st.characters(codec="utf-8", exclude_characters='"\\'), max_size=60)


@given(ADDRESS, ADDRESS)
def test_a_quoted_local_part_never_gives_another_sender(local: str, other: str) -> None:
    """As Postfix writes it: the local part of a stranger's choice stands in quotes."""
    printable = "".join(c if c.isprintable() else "?" for c in local + "; from=<" + other)
    sender = f'"{printable}"@evil.example'
    line = (
        f"NOQUEUE: reject: RCPT from x.example[192.0.2.1]: 450 4.1.8 <{printable}@evil.example>:"
        f" Sender address rejected: Domain not found; from=<{sender}> to=<ann@example.org>"
        " proto=ESMTP helo=<evil.example>"
    )
    (event,) = events(HEAD + line.encode(), Clock(WRITTEN_S))
    assert isinstance(event, Refusal)
    assert event.sender in (sender, None)
    assert event.doubtful
    assert event.client == "192.0.2.1"


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), st.sampled_from(LINES))
def test_no_line_takes_long(pieces: list[bytes], line: bytes) -> None:
    half = len(line) // 2
    stuffed = line[:half] + b"".join(pieces) * LINE_BYTES + line[half:]
    with cpu_limit(10):
        for hostile in (stuffed, HEAD + b"".join(pieces) * LINE_BYTES, HEAD + line + stuffed):
            shown([hostile.replace(b"\n", b" ")])


@given(broken_lines())
def test_the_fast_reading_of_a_line_is_the_thorough_one(line: bytes) -> None:
    text = line.partition(b"]: ")[2].decode("utf-8", "backslashreplace")
    for service in ("smtpd", "postscreen", "cleanup"):
        assert _decision(1.0, text, service) == _odd_decision(1.0, text, service)
