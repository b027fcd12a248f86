"""Programs that users write, run over messages that strangers write: rules, procmailrc, Sieve.

Nothing is done but on paper: no program is run, and no file is read.
"""

from __future__ import annotations

from collections.abc import Iterator

from mdeliver import explain
from mdeliver.addresses import can_be_sent_to
from mdeliver.conditions.prefilter import Prefilter
from mdeliver.decision import outcome_of
from mdeliver.envelope import Envelope
from mdeliver.evaluate import evaluate
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Program
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message
from mdeliver.plan import Decision, Edit, File, Forward, Reply
from mdeliver.procmail import proof
from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.mail import skip_from_line
from mdeliver.procmail.matcher import Matcher
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.pattern import TooDeep, expand_macros, parse_pattern
from mdeliver.procmail.world import World
from mdeliver.replay.cases import parse_cases
from mdeliver.replay.rehearsal import Rehearsed
from mdeliver.replay.stores import Arrived
from mdeliver.replay.trial import failing, trial_of
from mdeliver.rulescache import pack, unpack
from mdeliver.settings import Site
from tests.casefile import CASES
from tests.fuzz.rules import RECIPES, WORDS, no_file, text_of
from tests.fuzz.target import Target, case_texts, is_printable, messages, no_control

_ENVELOPE = Envelope("ann", "/home/ann", 1000, "bob@example.net", "ann@example.org")
_SITE = Site(("example.org",), "mail.example.org")
_NOW_S = 1.7e9
MESSAGE = b"\n=== message\n"
"""Parts a program from the message that it is run over."""

_LETTER = (
    b"From: Bob <bob@example.net>\nTo: ann@example.org\nSubject: [dev] urgent offer\n"
    b"List-Id: <dev.lists.example.org>\nX-Spam-Level: ***\nMessage-ID: <1@example.net>\n\nhello\n"
)
_FROM = b"From bob@example.net  Mon Nov 23 10:00:00 2026\n"
_SOUND = (
    _LETTER,
    b"From: Eve <eve@example.com>\nTo: x@lists.example.org\nSubject: TeXt urgent\n"
    b"X-Spam-Flag: YES\n\nspam spam\nbuy now\n",
    b"From: Peter P <peter@example.net>\nTo: Ann <ann@example.org>, bob@example.net\nSubject:\n"
    b"Precedence: bulk\nDate: Mon, 23 Nov 2026 10:00:00 +0000\n\nthe end\n",
    b"From: postmaster@example.net\nTo: ann@example.org\nCc: scuba@example.org\nSubject: list\n"
    b"\n-- \n",
)


def split(octets: bytes) -> tuple[bytes, bytes]:
    """The program, and the message; one of our own where there is none."""
    program, found, message = octets.partition(MESSAGE)
    return program, message if found else _LETTER


# --- rules -----------------------------------------------------------------------------------


def evaluated(octets: bytes) -> None:
    """A plan is the same by rules that were kept, with and without a trace, and can be shown."""
    text, message = split(octets)
    program = compile_rules([Source("rules", text_of(text))], no_file).program
    if program is None:
        return
    letter = letter_of(message)
    decided = _decided(program, letter, explain=True)
    assert _decided(program, letter, explain=False).plan == decided.plan
    assert _decided(program, letter, explain=False, prefilter=True).plan == decided.plan
    kept = unpack(pack(program))
    assert kept is not None
    assert _decided(kept, letter, explain=True) == decided
    _shown(decided, letter)


def _decided(
    program: Program, letter: Letter, *, explain: bool, prefilter: bool = False
) -> Decision:
    message = Message(letter.head, letter.size, cut=letter.head_cut, octets=letter.chunks)
    before = Prefilter(program) if prefilter else None
    return evaluate(program, message, _ENVELOPE, _SITE, _NOW_S, explain=explain, prefilter=before)


def _shown(decided: Decision, letter: Letter) -> None:
    """Whatever the rules say, what leaves is harmless, and can be printed."""
    for action in decided.plan.actions:
        match action:
            case File(path=path):
                assert "\0" not in path
                assert ".." not in path.split("/"), path
                assert is_printable(path), path
            case Edit(name=name, text=said):
                assert is_printable(name + said), said
            case Forward(addresses=addresses):
                assert all(can_be_sent_to(address) for address in addresses), addresses
            case Reply(to=to):
                assert can_be_sent_to(to)
    message = Message(letter.head, letter.size)
    outcome = outcome_of(decided.plan)
    assert is_printable(outcome.line)
    for line in explain.as_lines("m", message, decided, outcome, lambda _colour, words: words):
        assert is_printable(line), line


def tried(octets: bytes) -> None:
    """Cases beside their rules: each holds, or a finding says why not, with its line."""
    text, _, rules = octets.partition(b"\n=== rules\n")
    cases = parse_cases(text_of(text), "rules.cases")
    if any(case.message is None or "zone" in case.said for case in cases.cases):
        return
    trial = trial_of("rules.cases", cases, [Source("rules", text_of(rules))], no_file)
    lines = text_of(text).count("\n") + 1
    for finding in (*trial.findings, *failing(trial, _ENVELOPE, _SITE, "error")):
        assert is_printable(finding.line), finding.line
        assert finding.place.file != "rules.cases" or 1 <= finding.place.line <= lines
    assert trial.program is not None or trial.findings


# --- procmailrc ------------------------------------------------------------------------------


class _Elsewhere(World):
    """A home without any file, where all directories are taken to be there."""

    def __init__(self) -> None:
        super().__init__("/home/ann", "ann", now_s=_NOW_S, pretends=True)

    def kind(self, path: str) -> str:
        return ""

    def read(self, path: str) -> str | None:
        return None


def procmail_run(octets: bytes) -> None:
    """What procmail would do: always the same, of no more than there is, and no octet is lost."""
    text, message = split(octets)
    file = parse_procmailrc(text.decode("latin-1"), ".procmailrc")
    fate = run_procmailrc(file, _FROM + message, _Elsewhere())
    assert fate == run_procmailrc(file, _FROM + message, _Elsewhere())
    assert 0 <= fate.status <= 255
    for delivery in fate.deliveries:
        given, part = delivery.stored(), delivery.part
        if delivery.begin == 0:
            given, part = skip_from_line(given), skip_from_line(part)
        # Quoted or not, and with a newline more at its end, it is what there was.
        assert given.replace(b"\n>", b"\n").removesuffix(b"\n") in (
            part.replace(b"\n>", b"\n"),
            part.replace(b"\n>", b"\n").removesuffix(b"\n"),
        ), (given, part)


def procmail_same(octets: bytes) -> None:
    """Rules that were made without a word of warning do what the procmailrc does.

    Over messages without the odd things for which MIGRATING.md lists differences.
    """
    chosen, text = octets[:1], octets[1:]
    message = _SOUND[chosen[0] % len(_SOUND) if chosen else 0]
    file = parse_procmailrc(text.decode("latin-1"), ".procmailrc")
    converted = convert_procmailrc(file, lambda _path: None, allow_shell=True)
    assert no_control(converted.text), converted.text
    program = compile_rules([Source("rules", converted.text)], no_file).program
    told = converted.findings or any(entry.level != "note" for entry in converted.entries)
    if program is None or told:
        return
    letter = letter_of(_FROM + message)
    decided = _decided(program, letter, explain=True)
    done = Rehearsed(Message(letter.head, letter.size), decided, outcome_of(decided.plan))
    arrived = Arrived(letter, _NOW_S)
    found = proof.compare("m", arrived, file, _Elsewhere(), lambda _arrived: done)
    assert found.same or found.unknown, (found.theirs, found.ours, found.content)


def matched(octets: bytes) -> None:
    """An expression by RE2 and by our own automaton: the same answer."""
    written, _, text = octets.partition(b"\n")
    try:
        pattern = parse_pattern(expand_macros(written.decode("latin-1"))[0])
        for ignore_case in (True, False):
            matcher = Matcher(pattern, ignore_case)
            found = matcher.find(text, 0)
            assert matcher.matches(text) == (found is not None), (pattern, text)
            # Before the text, and after it, stands one newline that is not there.
            assert found is None or -1 <= found.end <= len(text) + 1
            if found is not None and found.matched is not None:
                assert found.matched in text
    except TooDeep:
        return


# --- what they begin with --------------------------------------------------------------------


def _programs() -> Iterator[bytes]:
    heads = list(messages())
    for number, text in enumerate(case_texts("explain")):
        yield text + MESSAGE + heads[number % len(heads)][:1500]
    for text in case_texts("language"):
        if len(text) < 600:
            yield text + MESSAGE + _LETTER


def _recipes() -> Iterator[bytes]:
    from tests.procmailrules import Generator

    for seed in range(60):
        made = Generator(seed)
        yield made.items(0, 3).encode() + MESSAGE + made.message().partition(b"\n")[2]


def _rcfiles() -> Iterator[bytes]:
    from tests.procmailrules import Generator

    for seed in range(100, 200):
        yield bytes((seed,)) + Generator(seed).items(0, 3).encode()
    for path in sorted((CASES / "convert").glob("*.procmailrc")):
        yield b"0" + path.read_bytes()


def _expressions() -> Iterator[bytes]:
    from tests.procmailrules import EXPRESSIONS, IN_BODY, OF_VARIABLES

    for written in (*EXPRESSIONS, *IN_BODY, *OF_VARIABLES):
        yield written.encode() + b"\n" + _LETTER


_TRIED = b"""\
recipient "ann@example.org"
message "a":
    From: Eve <eve@example.com>
    X-Spam-Flag: YES

    body
files to imap/Junk as seen
does not reject
message "b":
    From: bob@example.net
    Subject: x
sender "bob@example.net"
also replies "away"
sets header "X-A: 1"
keeps
=== rules
mailbox imap = maildir "~/Maildir"
inbox = imap
if header "X-Spam-Flag" is "YES": file to imap/Junk as seen
set header "X-A: 1"
also reply with "Subject: away\\n\\naway" every 1d
"""

TARGETS = {
    "evaluated": Target(evaluated, _programs, (*WORDS, MESSAGE, b"Subject: ", b"From: ", b"{1}")),
    "tried": Target(
        tried, lambda: [_TRIED], (*_TRIED.split(b"\n"), *_TRIED.split(b" "), b"\n    ")
    ),
    "procmail-run": Target(procmail_run, _recipes, (*RECIPES, MESSAGE, b"\nFrom ", b"\0")),
    "procmail-same": Target(procmail_same, _rcfiles, RECIPES),
    "matched": Target(
        matched,
        _expressions,
        (b"^", b"$", b"\\/", b"\\<", b"\\>", b"()", b"|", b"*", b"+", b"?", b"[^", b"]", b"^^",
         b"^TO_", b"^FROM_DAEMON", b".*", b"(", b")", b"\\", b"-", b"\n", b"\n\n"),
    ),
}  # fmt: skip
