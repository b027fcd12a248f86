"""Rules that are passed over would not have held: with the prefilter and without, one plan."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.conditions.prefilter import Prefilter
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.message import Message
from mdeliver.plan import Decision
from mdeliver.settings import Site

WORDS = ("a", "ab", "b", "Ä", "ß", "ss", "a.b", "(", "x y", "")
FIELDS = ("subject", 'header "X-Other", "Subject"', "from", "from domain", "sender", "from name")
OPERATORS = ("is", "contains", "starts with", "ends with", "is not", "contains exactly", "exists")

words = st.sampled_from(WORDS)


@st.composite
def single(draw: st.DrawFn) -> str:
    field, operator = draw(st.sampled_from(FIELDS)), draw(st.sampled_from(OPERATORS))
    if operator == "exists":
        return f"{field} exists"
    if field.startswith("from") and field != "from name":
        return f'{field} {operator} "{draw(st.sampled_from(("a@b.c", "b.c", "a")))}"'
    values = ", ".join(f'"{w}"' for w in draw(st.lists(words.filter(bool), min_size=1, max_size=2)))
    return f"{field} {operator} {values}"


conditions = st.one_of(
    single(),
    st.lists(single(), min_size=2, max_size=3).map(" and ".join),
    st.lists(single(), min_size=2, max_size=3).map(" or ".join),
    single().map("not {}".format),
)


@st.composite
def programs(draw: st.DrawFn) -> str:
    lines = ['mailbox imap = maildir "~/Maildir"']
    for number, condition in enumerate(draw(st.lists(conditions, min_size=3, max_size=8))):
        lines += [f"if {condition}:", f"    also file to imap/F{number}"]
        if draw(st.booleans()):
            lines += [f"elif {draw(conditions)}:", f"    also file to imap/G{number}"]
        if draw(st.integers(0, 3)) == 0:
            lines += ["else:", f"    also file to imap/H{number}"]
    return "\n".join(lines) + "\n"


def decided(rules: str, head: bytes, *, filtered: bool) -> Decision:
    program = compile_rules([Source("rules", rules)], str).program
    assert program is not None, rules
    envelope = Envelope("ann", "/home/ann", 1000, sender="a@b.c")
    prefilter = Prefilter(program) if filtered else None
    return evaluate(
        program, Message(head, len(head)), envelope, Site(), 0.0, explain=False, prefilter=prefilter
    )


@settings(max_examples=40)
@given(programs(), words, st.sampled_from(("a@b.c", "Ab <x@B.C>", "ß <a@b>", "nobody")))
def test_what_is_passed_over_would_not_have_held(rules: str, subject: str, author: str) -> None:
    head = f"From: {author}\nSubject: {subject}\nX-Other: a.b\n\n".encode()
    assert decided(rules, head, filtered=True) == decided(rules, head, filtered=False)


def test_a_text_without_utf8_hides_nothing() -> None:
    rules = "".join(f'if sender contains "w{n}":\n    discard\n' for n in range(4))
    program = compile_rules([Source("rules", rules)], str).program
    assert program is not None
    envelope = Envelope("ann", "/home/ann", 1000, sender="\udcffw3@b.c")
    made = evaluate(
        program,
        Message(b"\n", 1),
        envelope,
        Site(),
        0.0,
        explain=False,
        prefilter=Prefilter(program),
    )
    assert made.plan.verdict.fate == "discard"


def test_what_was_passed_over_may_hold_once_the_header_has_changed() -> None:
    rules = "".join(f'if subject contains "w{n}":\n    also file to imap/{n}\n' for n in range(4))
    changed = f'mailbox imap = maildir "~/M"\n{rules}set header "Subject: w2"\n{rules}'
    made = decided(changed, b"Subject: hello\n\n", filtered=True)
    assert made == decided(changed, b"Subject: hello\n\n", filtered=False)
    assert any(getattr(action, "folder", None) == "2" for action in made.plan.actions)
