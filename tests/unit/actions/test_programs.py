"""Programs in rules: what is asked, with which message, and what is planned."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message
from mdeliver.outside import NOT_RUN
from mdeliver.plan import AS_IT_CAME, Content, Decision, File, Filter, Pipe, Run
from mdeliver.settings import Site

MESSAGE = b"Subject: hello\nFrom: -x@example.net\n\nbody\n"


class Told:
    """An Outside that says what it is told, and knows what it was asked."""

    def __init__(self, *results: bytes | None, answer: bool | None = True) -> None:
        self.results = list(results)
        self.answer = answer
        self.asked: list[tuple[tuple[str, ...], bytes]] = []

    def succeeds(self, argv: tuple[str, ...], octets: Iterable[bytes]) -> tuple[bool | None, str]:
        self.asked.append((argv, b"".join(octets)))
        return self.answer, "exit status N"

    def filtered(
        self, argv: tuple[str, ...], octets: Iterable[bytes], size: int
    ) -> tuple[Letter | None, str]:
        given = b"".join(octets)
        assert len(given) == size
        self.asked.append((argv, given))
        result = self.results.pop(0)
        return (None, "exit status 1: oh") if result is None else (letter_of(result), "")

    def delivered_before(self, name: bytes, within_s: float) -> bool:
        raise AssertionError(name, within_s)

    def names(self) -> None:
        raise AssertionError

    def answered(self, to: str, text: str, every_s: float) -> bool:
        raise AssertionError(to, text, every_s)


def decide(rules: str, outside: Told | None) -> Decision:
    compiled = compile_rules([Source("rules", rules)], str)
    assert compiled.program is not None, [finding.line for finding in compiled.findings]
    message = Message(
        MESSAGE.partition(b"body")[0], len(MESSAGE), octets=lambda: (MESSAGE[:9], MESSAGE[9:])
    )
    envelope = Envelope("ann", "/home/ann", 1000, sender="b@example.net")
    return evaluate(compiled.program, message, envelope, Site(), 0.0, explain=True, outside=outside)


def test_later_lines_see_what_a_filter_made() -> None:
    made = b"Subject: bye\n\nother\n"
    told = Told(made)
    decision = decide(
        'also file to imap/Before\nalso pipe to "one"\nfilter through "sed" "{subject}"\n'
        'if subject is "bye" and body contains "other" and size < 21: also pipe to "two"\n'
        'run "three"\n',
        told,
    )
    assert told.asked == [(("sed", "hello"), MESSAGE)]
    contents = [(type(a), getattr(a, "content", None)) for a in decision.plan.actions]
    assert contents == [
        (File, AS_IT_CAME),
        (Pipe, AS_IT_CAME),
        (Filter, None),
        (Pipe, Content(1)),
        (Run, Content(1)),
        (File, Content(1)),
        (File, Content(1)),
    ]
    assert [b"".join(letter.chunks()) for letter in decision.plan.filtered] == [made]
    assert decision.trace[2].because == f"{len(MESSAGE)} octets became {len(made)}"


def test_filters_follow_one_another_and_header_lines_count() -> None:
    told = Told(b"X: 1\n\none\n", None, b"X: 3\n\nthree\n")
    decision = decide(
        'add header "X-A: a"\nfilter through "f1"\nadd header "X-B: b"\nfilter through "f2"\n'
        'filter through "f3"\nset header "X-C: c"\npipe to "p"\n',
        told,
    )
    assert [octets for _argv, octets in told.asked] == [
        MESSAGE.replace(b"\n\n", b"\nX-A: a\n\n"),
        b"X: 1\nX-B: b\n\none\n",
        b"X: 1\nX-B: b\n\none\n",
    ]
    (pipe,) = [action for action in decision.plan.actions if isinstance(action, Pipe)]
    assert pipe.content.filtered == 2
    assert [edit.name for edit in pipe.content.edits] == ["X-C"]


def test_a_filter_that_fails_leaves_the_message_and_says_why() -> None:
    decision = decide('add header "X-A: a"\nfilter through "f"\npipe to "p"\n', Told(None))
    _edit, filtered, pipe = decision.plan.actions
    assert filtered == Filter(("f",), False, "rules:2", "exit status 1: oh")
    assert isinstance(pipe, Pipe)
    assert (pipe.content.filtered, len(pipe.content.edits)) == (0, 1)
    assert decision.trace[1].because == "it stays as it was: exit status 1: oh"


@pytest.mark.parametrize(
    ("answer", "fate"), [(True, "discard"), (False, "deliver"), (None, "defer")]
)
def test_what_a_program_says_decides(answer: bool | None, fate: str) -> None:
    told = Told(answer=answer)
    decision = decide('if program "p" "-s{subject}" "" succeeds: discard\n', told)
    assert decision.plan.verdict.fate == fate
    assert told.asked == [(("p", "-shello", ""), MESSAGE)]
    if answer is None:
        assert 'program "p": exit status N' in decision.plan.verdict.text
        assert decision.plan.actions == ()


def test_a_program_that_decides_nothing_is_not_asked() -> None:
    told = Told()
    decide('if subject is "bye" and program "p" succeeds: discard\n', told)
    assert told.asked == []


def test_where_nothing_is_run_the_trace_says_so() -> None:
    decision = decide('filter through "f"\nif program "p" succeeds: discard\n', None)
    assert decision.plan.verdict.fate == "defer"
    assert [NOT_RUN in step.because for step in decision.trace] == [True, True]
