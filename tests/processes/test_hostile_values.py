"""Whatever a stranger, or a user, writes into a value: harmless in every place that it gets to.

Each value comes by each source and goes by one delivery into every channel; a cell of that matrix
that does harm is named in the failure.
"""

from __future__ import annotations

import json
import os
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from mdeliver import limits
from mdeliver.addresses import can_be_sent_to
from mdeliver.agent import deliver_letter
from mdeliver.cli.log import _lines
from mdeliver.decision import decide, outcome_of
from mdeliver.envelope import Envelope
from mdeliver.explain import as_lines
from mdeliver.history import recall
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Program
from mdeliver.letter import Letter, letter_of
from mdeliver.message import Message
from mdeliver.outcome import Outcome
from mdeliver.settings import Site

VALUES = {
    "a line end": "x\nX-Evil: yes",
    "line ends of the web": "x\r\nX-Evil: yes\r\n\r\nevil body",
    "a lone CR": "x\rX-Evil: yes",
    "NUL": "x\0y",
    "up and out": "../../../../evil",
    "up": "..",
    "here": ".",
    "from the root": "/evil",
    "a home": "~root/evil",
    "an option": "-oQ/evil",
    "a long option": "--output=/evil",
    "modified UTF-7 of a slash": "&AC8-evil",
    "an ampersand": "&",
    "modified UTF-7 of what is no text": "&2AA-",
    "an ANSI escape": "\x1b[2J\x1b]0;evil\x07",
    "an escape of one octet": "\x9b2Jevil",
    "a turned order": "\u202egpj.live",
    "a line separator": "x\u2028X-Evil: yes",
    "a shell's words": "$(touch evil)`touch evil`;touch evil|touch evil&",
    "quotes": "'\"\\evil",
    "formats": "%s%n%x{}{0}{user}",
    "octets that are no UTF-8": "evil\udcff\udc80",
    "an encoded word": "=?utf-8?q?x=0AX-Evil:_yes?=",
    "a dotlock": "evil.lock",
    "a Maildir's own": "cur",
    "Dovecot's own": "dovecot.index",
    "a table's comment": "#evil",
    "a table's next row": "a b\nevil@example.org x",
    "nothing": "",
    "much": "é" * 3000,
}


class From(NamedTuple):
    """A way for a value to come in.

    brace      what the rules call it
    envelope   the envelope that it comes with
    header     the header lines that it comes with
    condition  under which the rules have it
    """

    brace: str
    envelope: Callable[[str, Envelope], Envelope] = lambda _value, envelope: envelope
    header: Callable[[str], bytes] = lambda _value: b""
    condition: str = "size >= 0"


def octets(value: str) -> bytes:
    return value.encode("utf-8", "surrogateescape")


def folded(name: str) -> Callable[[str], bytes]:
    """The field NAME with the value as it is, no line of it one of the header's own."""
    return lambda value: octets(f"{name}: {value}").replace(b"\n", b"\n ") + b"\n"


def encoded(name: str, rest: str = "") -> Callable[[str], bytes]:
    """The field NAME with the value in an encoded word, which can say anything."""
    return lambda value: b"%b: =?utf-8?b?%b?=%b\n" % (
        name.encode(), b64encode(octets(value)), rest.encode(),
    )  # fmt: skip


SOURCES = {
    "SENDER": From("sender", lambda v, e: e.replace(sender=v)),
    "EXTENSION": From("extension", lambda v, e: e.replace(extension=v)),
    "RECIPIENT": From("recipient", lambda v, e: e.replace(recipient=v)),
    "USER": From("user", lambda v, e: e.replace(user=v)),
    "List-Id": From("list-id", header=folded("List-Id")),
    "Subject, encoded": From("subject", header=encoded("Subject")),
    "From, encoded": From("from name", header=encoded("From", " <x@example.net>")),
    "a file's name": From(
        "1",
        header=lambda value: (
            b"Content-Type: application/x\nContent-Disposition: attachment;\n filename*=utf-8''%b\n"
            % quote(octets(value)).encode()
        ),
        condition='attachment matches "(*)"',
    ),
}

RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox boxes = mbox "~/Mail/{{folder}}"
mailbox nested = maildir "~/Nested/{{folder}}"
me = "ann@example.org"
if {condition}:
    also file to imap/Lists/{{{brace}}}, boxes/{{{brace}}}, nested/a/{{{brace}}}
    set header "X-Value: {{{brace}}}"
    add header "X-Other: a {{{brace}}} b"
    log "{{{brace}}}"
    run "{sink}" "first" "{{{brace}}}" "last"
    also forward to "{{{brace}}}"
    also reply with "Subject: {{{brace}}}\\n\\nHello {{{brace}}}" every 1d
    file to imap/Done
"""

SINK = '#!/bin/sh\nprintf "%s\\0" "$@" > "$HOME/out/$1.argv"\nenv -0 > "$HOME/out/$1.environ"\n'
SENDMAIL = '#!/bin/sh\nprintf "%s\\0" "$@" > "$HOME/out/$$.mail.argv"\ncat > "$HOME/out/$$.mail"\n'


class Done(NamedTuple):
    """What became of one value by one source."""

    value: str
    home: Path
    came: bytes
    outcome: Outcome
    syslog: list[bytes]
    program: Program
    letter: Letter
    envelope: Envelope
    site: Site


def is_plain(text: str) -> bool:
    return text.isprintable()


def copies(top: Path) -> list[Path]:
    """The messages in all Maildirs below TOP."""
    return [path for part in ("new", "cur") for path in top.rglob(f"{part}/*") if path.is_file()]


def stored(done: Done) -> Iterator[bytes]:
    yield from (path.read_bytes() for path in copies(done.home / "Maildir" / ".Done"))


# --- channels: each says what is wrong, "" for nothing -------------------------------------------


def folders(done: Done) -> str:
    """A place within its mailbox, with a name that a terminal can show."""
    own = {".local", "Maildir", "Mail", "Nested", "out", "bin", "log-socket"}
    others = {path.name for path in done.home.iterdir()} - own
    others |= {path.name for path in done.home.parent.iterdir()} - {"home"}
    names = [str(path.relative_to(done.home)) for path in done.home.rglob("*")]
    odd = [name for name in names if not is_plain(name)]
    # a/VALUE/new/NAME: one step, whatever is in it.
    nested = [path.relative_to(done.home / "Nested").parts for path in copies(done.home / "Nested")]
    right = [len(parts) for parts in nested] == [4]
    return f"{others} {odd} {nested}" if others or odd or not right else ""


def header(done: Done) -> str:
    """Two fields, no more, and every octet else as it came."""
    (octets,) = stored(done)
    head, _, body = octets.partition(b"\n\n")
    before, _, body_before = done.came.partition(b"\n\n")
    names = [name for name, _ in Message(head + b"\n\n", 0).fields]
    came = [name for name, _ in Message(before + b"\n\n", 0).fields]
    fine = names == [*came, "X-Value", "X-Other"] and body == body_before
    return "" if fine and head.startswith(before) else f"{names}"


def decision_log(done: Done) -> str:
    """One line, which `mdeliver log` can show."""
    state = done.home / ".local" / "state" / "mdeliver"
    (line,) = (state / "log").read_bytes().splitlines()
    shown = [text for said in recall.deliveries(str(state)) for text in _lines(said, _paint)]
    fine = line.isascii() and is_plain(line.decode()) and shown and all(map(is_plain, shown))
    return "" if fine and json.loads(line) else f"{line!r} {shown}"


def mail_log(done: Done) -> str:
    """One line to syslog, and one to Postfix, in which nothing ends a field."""
    (datagram,) = done.syslog
    text = datagram.decode()
    return "" if is_plain(text) and is_plain(done.outcome.line) and len(text) < 1100 else text


def program(done: Done) -> str:
    """One argument, between its neighbours, and of a length that the kernel takes."""
    words = (done.home / "out" / "first.argv").read_bytes().split(b"\0")[:-1]
    fine = len(words) == 3 and (words[0], words[2]) == (b"first", b"last")
    return "" if fine and len(words[1]) <= limits.ARGUMENT_BYTES else f"{words}"


def environment(done: Done) -> str:
    """Of what strangers say only the characters that local(8) lets through."""
    entries = (done.home / "out" / "first.environ").read_bytes().split(b"\0")[:-1]
    known = dict(entry.decode("utf-8", "surrogateescape").partition("=")[::2] for entry in entries)
    strangers = [known.get(name, "") for name in ("SENDER", "RECIPIENT", "EXTENSION", "LOCAL")]
    odd = [text for text in strangers if set(text) & set(" \t\n\r\0`$(){}[]<>|&;'\"\\*?~#^\x1b")]
    return f"{odd}" if odd or "LD_PRELOAD" in known else ""


def mail_sent(done: Done) -> str:
    """Addresses behind `--` that are addresses; heads with each field once, as it was named."""
    wrong = []
    for argv in (done.home / "out").glob("*.mail.argv"):
        words = argv.read_bytes().split(b"\0")[:-1]
        addresses = words[words.index(b"--") + 1 :]
        wrong += [a for a in addresses if not can_be_sent_to(a.decode("utf-8", "replace"))]
        sent = argv.with_suffix("").read_bytes()
        names = [name.lower() for name, _ in Message(letter_of(sent).head, 0).fields]
        if "x-evil" in names or names.count("subject") > 1 or names.count("from") > 1:
            wrong.append(sent)
    return f"{wrong}" if wrong else ""


def terminal(done: Done) -> str:
    """What `mdeliver test` shows."""
    decided = decide(done.program, done.letter, done.envelope, done.site, explain=True)
    message = Message(done.letter.head, done.letter.size)
    lines = as_lines("m", message, decided, outcome_of(decided.plan), _paint)
    return "".join(line for line in lines if not is_plain(line))


def retry(done: Done) -> str:
    """Brought again it is known: what the journal says of it can be read."""
    again = deliver_letter(
        done.program, done.letter, done.envelope, done.site,
        str(done.home / ".local" / "state" / "mdeliver"),
    )  # fmt: skip
    return "" if len(list(stored(done))) == 1 and again.exit_status == 0 else again.line


def _paint(_colour: str, words: str) -> str:
    return words


CHANNELS = (
    folders, header, decision_log, mail_log, program, environment, mail_sent, terminal, retry,
)  # fmt: skip


ALL = os.environ.get("MDELIVER_FAULTS") == "all"

CELLS = [
    (value, source)
    for row, value in enumerate(VALUES)
    for column, source in enumerate(SOURCES)
    # A file without a name is none.
    if (value, source) != ("nothing", "a file's name") and (ALL or (row + column) % 3 == 0)
]
"""Each value comes by every third source, and by all with MDELIVER_FAULTS=all."""


@pytest.mark.parametrize(("value", "source"), CELLS)
def test_it_is_harmless_everywhere(tmp_path: Path, value: str, source: str) -> None:
    done = delivered(tmp_path / "home", SOURCES[source], VALUES[value])
    assert done.outcome.exit_status == 0, done.outcome.line
    harm = {channel.__name__: wrong for channel in CHANNELS if (wrong := channel(done))}
    assert harm == {}


def delivered(home: Path, source: From, value: str) -> Done:
    """A message with VALUE by SOURCE, delivered by rules that put it everywhere."""
    state = home / ".local" / "state" / "mdeliver"
    for made in (state, home / "out", home / "bin"):
        made.mkdir(parents=True)
    for name, text in (("sink", SINK), ("sendmail", SENDMAIL)):
        (home / "bin" / name).write_text(text)
        (home / "bin" / name).chmod(0o700)
    rules = RULES.format(brace=source.brace, condition=source.condition, sink=home / "bin" / "sink")
    compiled = compile_rules([Source("rules", rules)], str)
    assert compiled.program is not None, compiled.findings
    came = (
        b"Received: from mx (mx [192.0.2.1]) by mail with ESMTP id 4F; Mon, 23 Nov 2026 10:00:00\n"
        b"Message-ID: <1@example.net>\nTo: ann@example.org\n" + source.header(value) + b"\nbody\n"
    )
    letter = letter_of(b"From x@example.net Mon Nov 23 10:00:00 2026\n" + came)
    envelope = Envelope("ann", str(home), os.geteuid(), "x@example.net", "ann@example.org")
    envelope = source.envelope(value, envelope)
    log = home / "log-socket"
    site = Site(("example.org",), "mx", syslog=str(log), sendmail=str(home / "bin" / "sendmail"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(log))
        outcome = deliver_letter(compiled.program, letter, envelope, site, str(state))
        heard.setblocking(False)
        syslog = []
        while True:
            try:
                syslog.append(heard.recv(65536))
            except BlockingIOError:
                break
    return Done(value, home, came, outcome, syslog, compiled.program, letter, envelope, site)
