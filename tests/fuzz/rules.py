"""What users write: rules and their cases, procmailrc, Sieve, lists of values."""

from __future__ import annotations

from collections.abc import Iterator

from mdeliver.conditions.tables import Table
from mdeliver.diagnostic import render
from mdeliver.glob import Glob, fold
from mdeliver.language.compile import Compiled, Source, compile_rules
from mdeliver.language.lints import lint
from mdeliver.language.parser import parse
from mdeliver.language.printer import print_rules
from mdeliver.outcome import one_line
from mdeliver.procmail.converter import convert_procmailrc
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.pattern import TooDeep, expand_macros, parse_pattern
from mdeliver.replay.cases import parse_cases
from mdeliver.replytext import split_reply, wrong_reply
from mdeliver.rulescache import pack, unpack
from mdeliver.sieve.converter import convert_sieve
from mdeliver.sieve.reader import read_script
from tests.casefile import CASES
from tests.fuzz.target import Target, case_texts, is_printable, no_control


def no_file(path: str) -> str:
    raise FileNotFoundError(2, "No such file or directory", path)


def text_of(octets: bytes) -> str:
    """OCTETS as the readers of rules get them."""
    return octets.decode("utf-8", "replace")


def shown(compiled: Compiled, text: str) -> None:
    """Findings can be shown, with a place that is in the file."""
    for finding in compiled.findings:
        assert is_printable(finding.line), finding.line
        assert all(is_printable(line.replace("\t", " ")) for line in render(finding).split("\n"))
        assert 1 <= finding.place.line <= text.count("\n") + 1
        assert 1 <= finding.place.column < finding.place.end_column


def rules(octets: bytes) -> None:
    """Any text is a program or has findings; a program is printed, read back, kept and linted."""
    text = text_of(octets)
    compiled = compile_rules([Source("rules", text)], no_file)
    shown(compiled, text)
    program = compiled.program
    if program is None:
        assert compiled.findings
        return
    lint(program, {"rules": text}, ["rules"])
    printed = print_rules(program.statements)
    assert parse(printed, "printed").statements == program.statements
    assert unpack(pack(program)) == program


def cases(octets: bytes) -> None:
    """Any text is cases or has findings."""
    text = text_of(octets)
    for finding in parse_cases(text, "rules.cases").findings:
        assert is_printable(finding.line), finding.line


def procmailrc(octets: bytes) -> None:
    """Any text is read, and converted into rules; what is wrong with them can be shown."""
    text = octets.decode("latin-1")
    file = parse_procmailrc(text, ".procmailrc")
    converted = convert_procmailrc(file, lambda _path: None, allow_shell=True)
    assert all(is_printable(one_line(entry.line)) for entry in converted.entries)
    assert no_control(converted.text), converted.text
    shown(compile_rules([Source("rules", converted.text)], no_file), converted.text)


def condition(octets: bytes) -> None:
    """A condition's regular expression."""
    text = octets.decode("latin-1")
    try:
        parse_pattern(expand_macros(text)[0])
    except TooDeep:
        pass


def sieve(octets: bytes) -> None:
    """Any text is a script or has findings; a script becomes rules without an error."""
    text = text_of(octets)
    script = read_script(text, "x.sieve")
    for finding in script.findings:
        assert is_printable(finding.line), finding.line
    if not script.findings:
        converted = convert_sieve(script)
        assert no_control(converted.text), converted.text
        shown(compile_rules([Source("rules", converted.text)], no_file), converted.text)


def values(octets: bytes) -> None:
    """A list of values, and a text, by each operator: a table says what one by one says."""
    tested, _, listed = text_of(octets).partition("\n")
    table, text = Table(listed, False), fold(tested)
    lines = [fold(line) for line in listed.split("\n")] if listed else []
    assert table.holds("is", text) == (text in lines)
    assert table.holds("contains", text) == any(line in text for line in lines)
    assert table.holds("starts with", text) == any(text.startswith(line) for line in lines)
    assert table.holds("ends with", text) == any(text.endswith(line) for line in lines)
    globs = [Glob((line,), True) for line in lines if line]
    if all(lines):
        wanted = any(glob.match(text, text) is not None for glob in globs)
        assert table.holds("matches", text) == wanted


def reply(octets: bytes) -> None:
    """The text of a reply: what is filled in writes no field."""
    text = text_of(octets)
    pieces = [(n % 2 == 1, piece) for n, piece in enumerate(text.split("\0"))]
    wrong_reply(pieces)
    for part in split_reply(pieces)[:2]:
        assert "\n" not in part, part


def _rules() -> Iterator[bytes]:
    for kind in ("language", "explain", "lint"):
        yield from case_texts(kind)


def _recipes() -> Iterator[bytes]:
    """Small ones: a file is read, converted and compiled, which takes its time."""
    from tests.procmailrules import Generator

    for path in sorted((CASES / "convert").glob("*.procmailrc")):
        paragraphs = path.read_bytes().split(b"\n\n")
        yield from (b"\n\n".join(paragraphs[at : at + 3]) for at in range(0, len(paragraphs), 3))
    for seed in range(40):
        yield Generator(seed).items(0, 2).encode()


_CASES = b"""\
rules "spam.rules"  # beside
required
recipient "ann@example.org"
message "marked goes to Junk":
    From: Eve <eve@example.com>
    X-Spam-Flag: YES

    body
files to imap/Junk as seen
message "a friend" in "messages/bob.eml":
arrived 2026-08-01 22:00
size 20M
also replies "away"
does not file to imap/Junk
"""

_SIEVE = b"""\
require ["fileinto", "imap4flags", "vacation", "variables", "envelope", "body"];
if allof (header :contains "Subject" ["a", "b"], not address :domain :is "from" "x.example") {
  fileinto :flags "\\\\Seen" "A.B"; stop;
} elsif size :over 2M { discard; } else { redirect :copy "b@c.example"; }
vacation :days 3 :subject "away" text:
gone
.
;
"""

_SCRIPTS = (
    _SIEVE,
    b'require "fileinto"; if header :is "X-Spam-Flag" "YES" { fileinto "Junk"; stop; }\n',
    b'require ["fileinto", "mailbox"]; # lists\nif header :contains "List-Id" ["<a.b>", "<c>"]\n'
    b'{ fileinto :create "Lists/a"; } elsif true { keep; } else { discard; }\n',
    b'require "variables"; if header :matches "Subject" "[*] *" { set "n" "${1}";\n'
    b'fileinto "L.${n}"; }\n',
    b'require ["envelope", "regex"]; if anyof (envelope :localpart :is "to" "ann",\n'
    b'header :regex "Subject" "a(b|c)+$", exists ["X-A", "X-B"], size :under 10K) { stop; }\n',
    b'require ["editheader", "reject", "body", "date", "relational"]; addheader "X-A" "b";\n'
    b'deleteheader "X-C"; if body :text :contains "x" { reject "no"; }\n'
    b'if currentdate :value "ge" "hour" "22" { redirect "b@c.example"; }\n',
    b'require ["vacation", "imap4flags", "duplicate"]; if duplicate { discard; stop; }\n'
    b'addflag "\\\\Flagged"; vacation :days 1 :addresses ["a@b.example"] "gone"; /* end */\n',
)

WORDS = (
    b"if ", b"elif ", b"else:", b"\n    ", b"\n", b"and ", b"or ", b"not ", b"file to imap/",
    b"keep",
    b"also ", b'"', b"{", b"}", b"/", b"\\", b"matches /(", b"lines of ", b"include ", b"let a = ",
    b"mailbox m = maildir ", b"7d", b"20M", b"22:00 to 7:00", b"2026-08-01", b"forward to ",
    b"reply ",
    b"program ", b" succeeds", b"set header ", b"is ", b"contains ", b", ", b"me = ", b"#", b"\t",
    b"\r",
    b"\0", b"\xe2\x80\x9c", b"\xe2\x80\xa8",
)  # fmt: skip
RECIPES = (
    b":0", b":0:", b":0 HBbhcwWfeaAEDirx", b"\n* ", b"* !", b"* ^TO_", b"* ^FROM_DAEMON",
    b"* 1^0 ", b"$",
    b"${A:-b}", b"`date`", b"| ", b"! ", b"{\n", b"}\n", b"INCLUDERC=", b"SWITCHRC=", b"LOGFILE=",
    b"\\",
    b"MAILDIR=$HOME/Mail", b"$MATCH", b"\\/", b"B ?? ", b"? test", b"* > 100", b'"', b"'",
    b"/dev/null",
    b"Lists/", b"mh/.", b"#", b"TRAP=", b"* ^Subject:.*(", b"[^", b"|formail -A\"X: y\"", b"\xff",
)  # fmt: skip

TARGETS = {
    "rules": Target(rules, _rules, WORDS),
    "cases": Target(cases, lambda: [_CASES], tuple(_CASES.split(b" "))),
    "procmailrc": Target(
        procmailrc,
        _recipes,
        RECIPES,
    ),
    "condition": Target(
        condition, lambda: [b"^Subject:.*(a|b)+[^x-z]\\/\\<x", b"^TO_ann^FROM_MAILER"], RECIPES
    ),
    "sieve": Target(
        sieve,
        lambda: _SCRIPTS,
        (*tuple(_SIEVE.split()), b"text:\n", b"/*", b"*/", b"#", b"${a}", b":regex", b"anyof ("),
    ),
    "values": Target(values, lambda: [b"ann@x.example\nx.example\n*@x.example\na?b*\n"], WORDS),
    "reply": Target(reply, lambda: [b"Subject: \0x\0\nFrom: a@b\n\nhi \0y", b"hi"], WORDS),
}
