"""The plan that `mdeliver test` prints is what a delivery carries out: places, flags, octets.

Rules of all deeds, generated; a temporary home for each. What must lie where is worked out from the
printed objects alone, with a model of header edits that shares nothing with edits.py.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mdeliver import agent, explain
from mdeliver.envelope import Envelope
from mdeliver.intake import Options
from mdeliver.language.compile import Source, compile_rules
from mdeliver.language.syntax import Program
from mdeliver.letter import letter_of
from mdeliver.outcome import Outcome
from mdeliver.replay.rehearsal import Rehearsal
from mdeliver.replay.stores import Arrived
from mdeliver.settings import Site
from tests.mboxreader import read_mbox

# Programs say by their first argument what they were, and leave what they got in out/.
SINK = '#!/bin/sh\numask 077; cat > "$HOME/out/$1.$$"\n'
FILTER = "#!/bin/sh\ncat; echo filtered\n"
FAILS = "#!/bin/sh\nexit 1\n"
SENDMAIL = '#!/bin/sh\nfor last; do :; done; cat > "$HOME/out/mail to $last.$$"\n'

DEFINITIONS = """\
mailbox imap = maildir "~/Maildir"
mailbox boxes = mbox "~/Mail/{folder}"
mailbox pop3 = mbox "~/pop3"
inbox = imap, pop3
"""
TESTS = st.sampled_from(
    [
        'subject contains "a"', 'from domain is "x.example"', "size > 120", "not automatic",
        'header "X-A" exists', 'list-id matches "(*).lists.example"', "duplicate within 7d",
        'body contains "b"', 'program "~/fails" succeeds', 'subject matches /^(\\S*)/',
        "from is me or mailing list",
    ]
)  # fmt: skip
ACTIONS = st.sampled_from(
    [
        "file to imap/A", "file to imap/A as seen", "file to imap/{subject} as flagged, answered",
        "file to boxes/{from domain}", "file to imap/A, boxes/B as draft", "keep", "keep as seen",
        'file to maildir "~/Other"', 'forward to "bob@y.example"', 'pipe to "~/sink" "piped"',
        "inbox", "mailbox", 'run "~/sink" "ran"', 'filter through "~/filter"', "mark as seen",
        'filter through "~/fails"', 'set header "X-A: {subject}"', 'add header "X-B: é {size}"',
        'set header "Subject: a {subject}"', 'remove header "X-A", "To"', 'log "{subject}"',
        'reply with "Subject: away\\n\\nnot here"', "discard", 'reject "5.7.1 no {subject}"',
        "defer", "mark as flagged, answered",
    ]
)  # fmt: skip
ENDS = ("discard", "reject", "defer")
MOVES = {"inbox": "inbox = imap/In, inbox", "mailbox": 'mailbox boxes = mbox "~/Boxes/{folder}"'}


@st.composite
def statements(draw: st.DrawFn) -> str:
    action = draw(ACTIONS)
    also = "also " if not action.startswith(ENDS) and draw(st.integers(0, 3)) else ""
    if action in MOVES:
        return f"{MOVES[action]}\n"
    if draw(st.integers(0, 2)) and also:
        return f"{also}{action}\n"
    return f"if {draw(TESTS)}:\n    {also}{action}\n"


RULES = st.lists(statements(), min_size=3, max_size=9).map("".join)
VALUES = st.sampled_from(["", "a", "b c", "=?utf-8?q?=C3=A9/.?=", "../x", "a" * 90, "new", "\xe9"])
HEADS = st.lists(
    st.tuples(st.sampled_from(["Subject", "X-A", "X-a", "To", "List-Id", "Precedence"]), VALUES),
    max_size=5,
).map(lambda fields: "".join(f"{name}: {value}\n" for name, value in fields))
MESSAGES = st.tuples(HEADS, st.sampled_from(["", "b\n", "x\n\ny", "From me\n>From b\n"])).map(
    lambda parts: f"From: Bob <bob@x.example>\nCc: ann@x.example\n{parts[0]}\n{parts[1]}".encode(
        "latin-1"
    )
)


@contextmanager
def home() -> Iterator[Path]:
    """A home with programs, in memory where that can be: syncs show nothing here."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as place:
        path = Path(place)
        for name, text in (
            ("sink", SINK), ("filter", FILTER), ("fails", FAILS), ("sendmail", SENDMAIL),
        ):  # fmt: skip
            (path / name).write_text(text)
            (path / name).chmod(0o755)
        (path / "out").mkdir()
        (path / "state").mkdir()
        yield path


def edited(octets: bytes, action: dict[str, Any]) -> bytes:
    """OCTETS after the printed ACTION, an edit of the header or a filter."""
    if action["action"] == "filter":
        return octets + b"filtered\n" if action["changed"] else octets
    deed = action["action"].partition(" ")[0]
    name, text = action["name"].encode(), action["text"]
    head, _, body = octets.partition(b"\n\n")
    lines = [line for line in head.split(b"\n") if line]
    is_it = [line.partition(b":")[0].lower() == name.lower() for line in lines]
    at = is_it.index(True) if deed == "set" and True in is_it else len(lines)
    if deed != "add":
        lines = [line for line, gone in zip(lines, is_it, strict=True) if not gone]
    if deed != "remove":
        lines.insert(at, b"%s: %s" % (name, text.encode()))
    return b"".join(line + b"\n" for line in lines) + b"\n" + body


def shown(octets: bytes) -> bytes:
    """OCTETS with encoded words decoded and unfolded, as far as a comparison needs it."""
    from email.header import decode_header, make_header

    head, _, body = octets.partition(b"\n\n")
    unfolded = re.sub(rb"\n[ \t]", b" ", head).decode("latin-1")
    lines = []
    for line in unfolded.split("\n"):
        name, _, value = line.partition(":")
        if "=?" in value:
            value = str(make_header(decode_header(value.strip())))
        elif not value.isascii():
            try:
                value = value.encode("latin-1").decode()
            except UnicodeDecodeError:
                pass
        lines.append(f"{name}: {value.strip()}")
    return "\n".join(lines).encode() + b"\n\n" + body.rstrip(b"\n")


def expected(printed: dict[str, Any], message: bytes) -> Counter[tuple[str, bytes]]:
    """What must lie where, from the objects that `mdeliver test --json` prints."""
    found: Counter[tuple[str, bytes]] = Counter()
    octets = message
    for action in printed["actions"]:
        match action["action"]:
            case "file":
                letters = {"draft": "D", "flagged": "F", "answered": "R", "seen": "S"}
                flags = "".join(sorted(letters[flag] for flag in action["flags"]))
                found[f"{action['path']} {flags}", shown(octets)] += 1
            case "pipe" | "run":
                found[f"{action['program'][1]}", shown(octets)] += 1
            case "forward":
                found[f"mail to {action['addresses'][-1]}", shown(octets)] += 1
            case "reply":
                found[f"mail to {action['to']}", b""] += 1
            case "log":
                pass
            case _:
                octets = edited(octets, action)
    return found


def lies(path: Path) -> Counter[tuple[str, bytes]]:
    """What lies in the home PATH."""
    found: Counter[tuple[str, bytes]] = Counter()
    for place in path.rglob("*"):
        box = place.parent
        if not place.is_file() or path / "state" in place.parents:
            continue
        if box.name in ("new", "cur"):
            flags = place.name.partition(":2,")[2]
            found[f"{box.parent} {flags}", shown(place.read_bytes())] += 1
        elif box == path / "out":
            name = place.name.rpartition(".")[0]
            trace, _, rest = place.read_bytes().partition(b"\n")
            if trace.startswith(b"X-Mdeliver-Forwarded: "):
                found[name, shown(rest)] += 1
            else:
                # Of an answer only that it was sent: its text is shown nowhere.
                found[name, b"" if name.startswith("mail") else shown(place.read_bytes())] += 1
        elif box.name in ("Mail", "Boxes") or place.name == "pop3":
            for stored in read_mbox(place.read_bytes()):
                found[f"{place} ", shown(stored.message)] += 1
    return found


def without_flags_of_mboxes(
    wanted: Counter[tuple[str, bytes]], path: Path
) -> Counter[tuple[str, bytes]]:
    """WANTED as it can be: an mbox has no flags."""
    mboxes = (f"{path}/Mail/", f"{path}/Boxes/", f"{path}/pop3")
    made: Counter[tuple[str, bytes]] = Counter()
    for (place, octets), count in wanted.items():
        plain = place.rpartition(" ")[0] + " " if place.startswith(mboxes) else place
        made[plain, octets] += count
    return made


@pytest.mark.parametrize("sender", ["bob@x.example", ""])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rules=RULES, message=MESSAGES)
def test_what_is_shown_is_what_is_done(sender: str, rules: str, message: bytes) -> None:
    with home() as path:
        compiled = compile_rules([Source("rules", DEFINITIONS + rules)], lambda _path: "")
        if compiled.program is None:
            # Such as {subject} in a folder of an mbox: nothing is delivered by these.
            return
        site = Site(log_decisions=False, syslog="", sendmail=str(path / "sendmail"))
        printed = _rehearsed(compiled.program, message, sender, path, site)
        outcome = _delivered(compiled.program, message, sender, path, site)
        assert outcome.fate == printed["outcome"]
        assert outcome.exit_status == printed["exit_status"]
        assert lies(path) == without_flags_of_mboxes(expected(printed, message), path)


def _rehearsed(
    program: Program, message: bytes, sender: str, path: Path, site: Site
) -> dict[str, Any]:
    """What `mdeliver test --run-programs --json` prints."""
    environ = {"USER": "ann", "HOME": str(path), "SENDER": sender, "RECIPIENT": "ann@x.example"}
    rehearsal = Rehearsal(program, Options(), environ, site, run_programs=True)
    told = rehearsal.of(Arrived(letter_of(message), None), explain=True)
    return explain.as_object("message", told.message, told.decision, told.outcome)


def _delivered(program: Program, message: bytes, sender: str, path: Path, site: Site) -> Outcome:
    envelope = Envelope(
        "ann", str(path), os.geteuid(), sender, "ann@x.example", "ann@x.example", domain="x.example"
    )
    return agent.deliver_letter(program, letter_of(message), envelope, site, str(path / "state"))
