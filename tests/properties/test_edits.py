"""Editing a header touches the named fields and no other octet, whatever the head looks like."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mdeliver import limits
from mdeliver.deliver.contents import Contents, content_of, content_word
from mdeliver.deliver.journalline import _unword, word
from mdeliver.edits import edited_head, edited_letter, field_line, header_text
from mdeliver.letter import letter_of
from mdeliver.message import Message
from mdeliver.plan import AS_IT_CAME, Content, Edit
from mdeliver.system import from_octets, to_octets

NAMES = ["Subject", "X-A", "subject", "Received"]
LINES = st.one_of(
    st.tuples(
        st.sampled_from([*NAMES, "subject ", "X-A\t", "To", ">From x", "Subject\0"]),
        st.one_of(st.binary(max_size=12), st.sampled_from([b" =?utf-8?q?=0AX-A:_1?=", b" a\n\tb"])),
    ).map(lambda field: field[0].encode() + b":" + field[1].replace(b"\n", b"\n ")),
    st.sampled_from([b"no field", b" folded", b"\tX-A: folded", b"From x Thu", b"X-A"]),
)
HEADS = st.tuples(st.lists(LINES, max_size=8), st.sampled_from([b"\n", b"\r\n"])).map(
    # An empty line would end the head before its end.
    lambda drawn: (
        re.sub(rb"(?m)^\r*\n", b"", b"".join(line + drawn[1] for line in drawn[0])) + drawn[1]
    )
)
TEXTS = st.one_of(
    st.text(max_size=60),
    st.text(st.characters(max_codepoint=127), max_size=2000),
    st.text("a\r\n :=?éX-A\udcff", max_size=200),
)
# As rules and conditions make them: in one line.
EDITS = st.lists(
    st.one_of(
        st.builds(
            Edit,
            st.sampled_from(["set", "add", "prepend"]),
            st.sampled_from(NAMES),
            TEXTS.map(header_text),
            st.none(),
        ),
        st.builds(Edit, st.just("remove"), st.sampled_from(NAMES), st.just(""), st.none()),
        st.builds(
            Edit, st.just("drop"), st.sampled_from(NAMES), st.sampled_from(["1", "2,3"]), st.none()
        ),
    ),
    max_size=4,
).map(tuple)


def fields(head: bytes) -> list[tuple[str, bytes]]:
    return Message(head, len(head)).fields


def spans_without(head: bytes, name: str) -> bytes:
    """HEAD without the fields NAME, by a regex of its own."""
    field = rb"(?im)^%s[ \t]*:.*\n(?:[ \t].*\n)*" % re.escape(name.encode())
    return re.sub(field, b"", head)


@given(HEADS, st.sampled_from(NAMES))
def test_remove_takes_those_fields_and_nothing_else(head: bytes, name: str) -> None:
    without = edited_head(head, [Edit("remove", name, "", None)], cut=False)
    assert without == spans_without(head, name)
    assert fields(without) == [f for f in fields(head) if f[0].lower() != name.lower()]


@given(HEADS, st.sampled_from(NAMES), TEXTS)
def test_add_puts_one_field_at_the_end(head: bytes, name: str, text: str) -> None:
    longer = edited_head(head, [Edit("add", name, text, None)], cut=False)
    end = b"\r\n" if b"\r\n" in head else b"\n"
    at = len(head) - (2 if head.endswith(b"\r\n") else 1)
    assert longer == head[:at] + field_line(name, text, end) + head[at:]
    assert fields(longer)[:-1] == fields(head)


@given(HEADS, st.sampled_from(NAMES), TEXTS)
def test_set_leaves_one_field_in_the_place_of_the_first(head: bytes, name: str, text: str) -> None:
    changed = edited_head(head, [Edit("set", name, text, None)], cut=False)
    before, after = fields(head), fields(changed)
    others = [f for f in before if f[0].lower() != name.lower()]
    at = next((n for n, f in enumerate(before) if f[0].lower() == name.lower()), len(others))
    assert [f for f in after if f[0].lower() != name.lower()] == others
    assert [n for n, f in enumerate(after) if f[0].lower() == name.lower()] == [at]


@given(HEADS, st.sampled_from(NAMES), st.sets(st.integers(1, 4), min_size=1))
def test_drop_takes_those_that_are_numbered(head: bytes, name: str, numbers: set[int]) -> None:
    text = ",".join(map(str, numbers))
    after = fields(edited_head(head, [Edit("drop", name, text, None)], cut=False))
    left, number = [], 0
    for field in fields(head):
        number += field[0].lower() == name.lower()
        if field[0].lower() != name.lower() or number not in numbers:
            left.append(field)
    assert after == left


@given(HEADS, st.lists(st.sampled_from(["spf=pass", "a=b (c)", "dkim=none"]), min_size=1))
def test_prepend_puts_one_field_above_the_first_received(head: bytes, words: list[str]) -> None:
    text = "; ".join(words)
    before = fields(head)
    changed = edited_head(head, [Edit("prepend", "X-Results", text, None)], cut=False)
    after = fields(changed)
    received = [n for n, f in enumerate(before) if f[0].lower() == "received"]
    at = [n for n, f in enumerate(after) if f[0] == "X-Results"]
    assert at == received[:1] or (not received and len(at) == 1)
    (value,) = Message(changed, 1).raw("x-results")
    assert " ".join(value.decode().split()) == text
    assert [f for f in after if f[0] != "X-Results"] == before


@given(TEXTS)
def test_no_text_makes_a_field_of_its_own_and_people_read_it_as_it_was(text: str) -> None:
    for end in (b"\n", b"\r\n"):
        line = field_line("X-A", text, end)
        lines = line.split(end)
        assert lines.pop() == b""
        assert not any(b"\n" in one or b"\r" in one for one in lines)
        assert all(one.startswith((b" ", b"\t")) and one.strip() for one in lines[1:])
        message = Message(line + end, len(line))
        ((name, _value),) = message.fields
        assert name == "X-A"
        shown = "".join(c if c.isprintable() else " " for c in text[: limits.HEADER_TEXT]).strip()
        assert message.texts("x-a") == (shown,)


@given(HEADS, EDITS, st.binary(max_size=50), st.integers(0, 3))
def test_a_retry_stores_the_octets_of_the_attempt(
    head: bytes, edits: tuple[Edit, ...], body: bytes, filtered: int
) -> None:
    content = Content(filtered, edits)
    written = word(to_octets(content_word(content)))
    assert not re.search(rb"[\s\0]", written)
    again = content_of(from_octets(_unword(written)))
    assert (again == AS_IT_CAME) == (content == AS_IT_CAME)
    results = tuple([letter_of(b"Filter: %d\n" % n + head + body) for n in range(3)])
    contents = Contents(letter_of(head + body), dict(enumerate(results, 1)))
    letters = [contents.letter(one) for one in (content, again)]
    assert b"".join(letters[0].chunks()) == b"".join(letters[1].chunks())


@given(HEADS, EDITS, st.binary(max_size=50))
def test_later_lines_see_what_is_stored(head: bytes, edits: tuple[Edit, ...], body: bytes) -> None:
    letter = letter_of(b"From a\n" + head + body)
    changed = edited_letter(letter, edits)
    octets = b"".join(changed.chunks())
    seen = Message(letter.head, letter.size, octets=letter.chunks).with_head(changed.head)
    assert octets == changed.head + (head + body)[len(letter.head) :]
    assert (changed.size, seen.size) == (len(octets), len(octets))
    assert seen.octets is not None
    assert b"".join(seen.octets()) == octets
