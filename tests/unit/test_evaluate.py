"""What the cases of tests/cases/explain cannot say: the unknown, trust in the checker, speed."""

from __future__ import annotations

from itertools import product

import pytest

from mdeliver import evaluate as evaluation
from mdeliver.diagnostic import Span
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.parser import parse
from mdeliver.language.syntax import And, Automatic, Branch, Do, If, Keep, Not, Or, Program
from mdeliver.message import Message
from mdeliver.plan import Decision, File
from mdeliver.settings import Site
from tests.cputime import cpu_limit

HERE = Span("rules", 1, 1, 2)
ENVELOPE = Envelope("ann", "/home/ann", 1000, "bob@example.org", "ann@example.org")
HEAD = b"From: Bob <bob@example.org>\nSubject: Lunch\n\n"


def decide(program: Program, head: bytes = HEAD) -> Decision:
    return evaluate(program, Message(head, len(head)), ENVELOPE, Site(), 0.0, explain=True)


def files(decision: Decision) -> list[File]:
    return [action for action in decision.plan.actions if isinstance(action, File)]


def compiled(rules: str) -> Program:
    program = compile_rules([Source("rules", rules)], lambda _path: "").program
    assert program is not None
    return program


class _Told(Automatic):
    """A condition whose truth is told."""

    truth: bool | None


@pytest.fixture
def _told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(evaluation._KINDS, _Told, lambda _scene, told: told.truth)


TRUTHS = (True, False, None)


@pytest.mark.usefixtures("_told")
@pytest.mark.parametrize("truths", list(product(TRUTHS, repeat=3)))
def test_three_valued_logic(truths: tuple[bool | None, ...]) -> None:
    told = tuple([_Told(HERE, truth) for truth in truths])

    def result(condition: And | Or | Not) -> str:
        keep = (Do(False, Keep((), HERE), HERE),)
        rules = If((Branch(condition, keep, HERE),), None, HERE)
        return decide(Program((*compiled("").statements, rules))).trace[0].result

    every = "no" if False in truths else "unknown" if None in truths else "yes"
    some = "yes" if True in truths else "unknown" if None in truths else "no"
    assert result(And(told, HERE)) == every
    assert result(Or(told, HERE)) == some
    opposite = {"yes": "no", "no": "yes", "unknown": "unknown"}
    assert result(Not(And(told, HERE), HERE)) == opposite[every]


@pytest.mark.usefixtures("_told")
def test_an_outcome_that_hangs_on_the_unknown_defers() -> None:
    start = compiled("also file to imap/Copy\n").statements
    rules = If((Branch(_Told(HERE, None), (), HERE),), None, HERE)
    plan = decide(Program((*start, rules))).plan
    assert (plan.verdict.fate, plan.verdict.rule, plan.actions) == ("defer", "rules:1", ())
    assert plan.verdict.status[0] == "4"


def test_what_the_checker_refuses_is_no_answer() -> None:
    (branch,) = parse("if automatic: keep\n", "rules").statements
    assert isinstance(branch, If)
    no_action = Do(False, branch, branch.span)  # type: ignore[arg-type]
    no_fact = branch.branches[0].replace(condition=no_action)
    for statement in (no_action, branch.replace(branches=(no_fact,))):
        with pytest.raises(AssertionError):
            decide(Program((*compiled("").statements, statement)))


def test_captures_do_not_outlive_their_block() -> None:
    rules = (
        'if subject matches "(*)unch":\n'
        '    if from matches "bob@(*)" and "{1}" contains "nowhere":\n        discard\n'
        '    elif "{1}" is "L":\n        also file to imap/{1}\n'
        '    if from matches "*@*":\n        file to imap/{1}/again\n'
    )
    assert [file.folder for file in files(decide(compiled(rules)))] == ["L", "L/again"]


def test_a_hundred_rules_take_no_time() -> None:
    rule = (
        'if from is "a{0}@x", "b@x" or list-id matches "(*).{0}.org" or header "X-{0}" > 5:\n'
        "    discard\n"
    )
    program = compiled("".join(rule.format(n) for n in range(100)))
    head = HEAD + b"".join(b"X-Pad-%d: %s\n" % (n, b"x" * 60) for n in range(60)) + b"\n"
    decide(program, head)
    with cpu_limit(0.5):
        evaluate(program, Message(head, 4096), ENVELOPE, Site(), 0.0, explain=False)


@pytest.mark.parametrize(
    "test",
    [
        'to contains "@"', 'subject matches /(a+)+$/', 'any header matches "*a*a*a*a*a*b"',
        'header "To" > 1', "addressed to me", 'recipients name is "x"',
    ],
)  # fmt: skip
@pytest.mark.parametrize("piece", [b"a", b"(", b'"', b"=?utf-8?q?a?= ", b"\n a", b"<a@b>,"])
def test_hostile_messages_cannot_stop_a_rule(test: str, piece: bytes) -> None:
    program = compiled(f"if {test}: discard\n")
    head = b"To: " + piece * ((1 << 20) // len(piece)) + b"\nSubject: " + b"a" * 100_000 + b"!\n\n"
    with cpu_limit(5):
        evaluate(program, Message(head, len(head)), ENVELOPE, Site(), 0.0, explain=False)
