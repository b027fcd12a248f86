"""Whatever is written, the language answers; whatever it understands, it can write down again."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.diagnostic import Span, render
from mdeliver.language import syntax
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.lexer import UNITS
from mdeliver.language.lints import lint
from mdeliver.language.parse_values import RESERVED
from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules
from mdeliver.language.syntax import Brace, Plain, Text
from tests.casefile import cases

SPAN = Span("generated", 1, 1, 2)

# --- trees -----------------------------------------------------------------------------------

words = st.tuples(st.sampled_from("abijknrtxzäÖ"), st.text("abfino09_-é", max_size=4)).map("".join)
names = words.filter(lambda word: word not in RESERVED)
brace_names = (
    st.lists(words, min_size=1, max_size=2)
    .map(" ".join)
    .filter(lambda name: not name.startswith("lower "))
)
braces = st.builds(
    Brace, st.one_of(brace_names, st.sampled_from(["1", "2"])), st.booleans(), st.just(SPAN)
)
plain = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], include_characters="\n\t"), min_size=1
)


def joined(parts: list[str | Brace]) -> Text:
    """A Text as the parser makes it: no two plain pieces side by side."""
    made: list[str | Brace] = []
    for part in parts:
        if made and type(part) is str and type(made[-1]) is str:
            made[-1] += part
        else:
            made.append(part)
    return Text(tuple(made), SPAN)


marks = st.sampled_from(list("*?()")).map(Plain)
pieces: st.SearchStrategy[str | Brace] = st.one_of(plain, braces, marks)
texts = st.lists(pieces, max_size=4).map(joined)
# What stands in a quoted text may be anything; the pattern's `/` is the printer's affair.
patterns = st.lists(
    st.one_of(st.sampled_from(["/", "\\\\", "\\.", '"', "#", "{", "(*)", "a|b", " "]), words),
    min_size=1,
).map("".join)


def spanned(kind: Any, *fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, *fields, st.just(SPAN))


def tuples(inner: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[Any]:
    return st.lists(inner, min_size=least, max_size=3).map(tuple)


digits = st.one_of(
    st.integers(0, 10**6).map(str), st.integers(-99, -1).map(str), st.just("1.5"), st.just("007")
)
quantities = spanned(syntax.Quantity, digits, st.sampled_from(sorted(UNITS)))
dates = st.dates().map(lambda day: syntax.Date(day.year, day.month, day.day, SPAN))
ones = st.one_of(
    spanned(syntax.Regex, patterns),
    texts,
    spanned(syntax.Name, names),
    spanned(syntax.Me),
    spanned(syntax.Number, digits),
    quantities,
    spanned(syntax.Clock, st.integers(0, 23), st.integers(0, 59)),
    dates,
    spanned(syntax.Lines, texts),
)
values = st.one_of(ones, spanned(syntax.Range, ones, ones))
ADDRESSES = ["from", "to", "cc", "reply-to", "sender", "recipient", "recipients"]
headers = st.text([chr(c) for c in range(33, 127) if chr(c) != ":"], min_size=1, max_size=8)
fields = st.one_of(
    st.builds(
        syntax.Field,
        st.sampled_from(ADDRESSES),
        st.sampled_from(["", "name", "address", "domain", "local part"]),
        st.just(""),
        st.just(SPAN),
    ),
    st.builds(
        syntax.Field,
        st.sampled_from("subject list-id extension body size date weekday time".split()),
        st.just(""),
        st.just(""),
        st.just(SPAN),
    ),
    st.builds(
        syntax.Field,
        st.just("attachment"),
        st.sampled_from(["", "name", "type"]),
        st.just(""),
        st.just(SPAN),
    ),
    st.just(syntax.Field("any header", "", "", SPAN)),
    headers.map(lambda name: syntax.Field("header", "", name, SPAN)),
)
tested = st.one_of(tuples(fields), texts.map(lambda text: (text,)))
tests = st.one_of(
    st.builds(
        syntax.Test,
        tested,
        st.sampled_from(["is", "contains", "starts with", "ends with", "matches"]),
        st.booleans(),
        st.booleans(),
        tuples(values),
        st.just(SPAN),
    ),
    st.builds(
        syntax.Test, tested, st.just("exists"), st.booleans(), st.just(False), st.just(()),
        st.just(SPAN),
    ),
    st.builds(
        syntax.Test, tested, st.sampled_from([">", "<", ">=", "<="]), st.just(False),
        st.just(False), ones.map(lambda one: (one,)), st.just(SPAN),
    ),
)  # fmt: skip
facts = st.one_of(
    spanned(syntax.SentByMe),
    spanned(syntax.AddressedToMe),
    spanned(syntax.DuplicateWithin, quantities),
    spanned(syntax.Automatic),
    spanned(syntax.MailingList),
    spanned(syntax.ProgramSucceeds, tuples(texts)),
    spanned(syntax.Authentication, st.sampled_from(["spf", "dkim", "dmarc", "arc"]), tuples(words)),
)
expressions: st.SearchStrategy[Any] = st.recursive(
    st.one_of(tests, facts),
    lambda inner: st.one_of(
        spanned(syntax.Not, inner),
        spanned(syntax.And, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        spanned(syntax.Or, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=5,
)
flags = st.lists(
    st.sampled_from(["seen", "flagged", "answered", "draft"]), unique=True, max_size=3
).map(tuple)
stores = spanned(syntax.Store, st.sampled_from(["maildir", "mbox"]), texts)
targets = st.one_of(
    spanned(syntax.FolderTarget, names, tuples(texts, 0)), spanned(syntax.InboxTarget), stores
)
final = st.one_of(
    spanned(syntax.Discard),
    spanned(syntax.Reject, st.none() | texts),
    spanned(syntax.Defer, st.none() | texts),
)
actions = st.one_of(
    spanned(syntax.FileTo, tuples(targets), flags),
    spanned(syntax.Keep, flags),
    spanned(syntax.ForwardTo, tuples(values)),
    spanned(syntax.PipeTo, tuples(texts)),
    spanned(syntax.FilterThrough, tuples(texts)),
    spanned(syntax.Run, tuples(texts)),
    spanned(syntax.Mark, flags.filter(bool)),
    spanned(syntax.SetHeader, texts),
    spanned(syntax.AddHeader, texts),
    spanned(syntax.RemoveHeader, tuples(texts)),
    spanned(syntax.ReplyWith, texts, st.booleans(), st.none() | quantities),
    spanned(syntax.Log, texts),
)
simple = st.one_of(
    spanned(syntax.Do, st.booleans(), actions),
    spanned(syntax.Do, st.just(False), final),
    spanned(syntax.Let, names, tuples(values)),
    spanned(syntax.Mailbox, names, stores),
    spanned(syntax.Inbox, tuples(targets)),
    spanned(syntax.MeIs, tuples(values)),
    spanned(syntax.Include, texts, st.none()),
)


def ifs(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    block = st.lists(inner, min_size=1, max_size=3).map(tuple)
    branch = spanned(syntax.Branch, expressions, block)
    return spanned(syntax.If, tuples(branch), st.none() | block)


statements = st.recursive(simple, ifs, max_leaves=6)
programs = st.lists(statements, max_size=5).map(tuple)


@given(programs)
@settings(max_examples=100, deadline=None)
def test_what_is_printed_is_parsed_back(program: tuple[Any, ...]) -> None:
    printed = print_rules(program)
    parsed = parse(printed, "printed")
    assert parsed.findings == ()
    assert parsed.statements == program
    assert print_rules(parsed.statements) == printed


# --- any text ----------------------------------------------------------------------------------

SOUND = [case.text for case in cases("language") if "prints" in case.sections]
SIGNS = [
    "\n",
    "\n    ",
    "\n\t",
    "\n  ",
    " ",
    "(",
    ")",
    ":",
    ",",
    "=",
    '"',
    "/",
    "{",
    "}",
    "\\",
    "#",
]
PIECES = st.sampled_from([*sorted({piece for text in SOUND for piece in text.split()}), *SIGNS])


def answered(text: str) -> None:
    """TEXT gives a program that can be printed and judged, or findings that can be shown."""
    source = Source("rules", text)

    def no_file(path: str) -> str:
        raise FileNotFoundError(2, "No such file or directory", path)

    compiled = compile_rules([source], no_file)
    if compiled.program is None:
        assert compiled.findings
        for finding in compiled.findings:
            assert finding.line
            assert render(finding)
            assert 1 <= finding.place.line <= text.count("\n") + 1
            assert 1 <= finding.place.column < finding.place.end_column
    else:
        lint(compiled.program, {"rules": text}, ["rules"])
        printed = print_rules(compiled.program.statements)
        assert parse(printed, "printed").statements == compiled.program.statements


@given(st.text(st.characters(exclude_categories=[])))
@settings(max_examples=300, deadline=None)
def test_any_text_has_an_answer(text: str) -> None:
    answered(text)


@given(st.lists(PIECES, max_size=40).map(" ".join))
@settings(max_examples=300, deadline=None)
def test_any_words_have_an_answer(text: str) -> None:
    answered(text)


@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 12), PIECES | st.text(max_size=2))),
)
@settings(max_examples=300, deadline=None)
def test_mutated_rules_have_an_answer(text: str, changes: list[tuple[int, int, str]]) -> None:
    for at, length, new in changes:
        at %= len(text) + 1
        text = text[:at] + new + text[at + length :]
    answered(text)
