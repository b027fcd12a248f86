"""Any text is a procmailrc, and comes back as it was; any expression matches or does not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mdeliver.procmail.condition import read_condition
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.pattern import expand_macros, parse_pattern
from mdeliver.procmail.syntax import unparse

PIECES = r""":0 c : * { } A= $B `x` " ' \ # ! | ${C:- ${ ^Subject ?? 1^1 < x"""
pieces = st.sampled_from([*PIECES.split(), "\n", " ", "\r", "\0", "\xe9"])
texts = st.lists(pieces, max_size=40).map("".join) | st.text(
    st.characters(max_codepoint=255), max_size=80
)
expressions = st.text("ab(|)*+?.^$\\/<>[]-", max_size=14)


@given(texts)
def test_what_was_read_is_written_back(text: str) -> None:
    file = parse_procmailrc(text, "rc")
    assert unparse(file) == text
    for finding in file.findings:
        assert 1 <= finding.place.line <= text.count("\n") + 1
        assert 1 <= finding.place.column < finding.place.end_column


@given(texts)
def test_any_condition_can_be_read(text: str) -> None:
    assert read_condition(text).kind in ("regex", "<", ">", "?", "$")
    expand_macros(text)


@given(expressions, st.binary(max_size=12).map(lambda b: bytes(b"ab\nAB"[c % 5] for c in b)))
def test_both_ways_of_matching_agree(text: str, searched: bytes) -> None:
    matcher = Matcher(parse_pattern(text), True)
    assert matcher.matches(searched) is (matcher.find(searched, 0) is not None)
