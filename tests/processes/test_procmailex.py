"""Every recipe of procmailex(5), and generated ones, three ways: procmail, its model, the rules.

Programs    of the recipes are small scripts, or what every system has; they are run on both sides,
            each in a directory of its own, and what is in it afterwards is compared.
Rules       are converted, and what they would deliver is compared with what procmail delivered, in
            the same directory, octet for octet; what differs by design is numbered in MIGRATING.md.
MDELIVER_TEST_PROCMAIL_RUNS asks for more than the share of every test run (test_procmail.py).
"""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mdeliver.letter import letter_of
from mdeliver.procmail import octets
from mdeliver.procmail.fate import Delivery
from mdeliver.procmail.machine import run_procmailrc
from mdeliver.procmail.mail import read_mail
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.proof import of_plan
from mdeliver.replay.stores import Arrived
from mdeliver.settings import load_site
from tests import procmailoracle as oracle
from tests.procmailrules import Generator, clear_of_what_differs
from tests.unit.procmail.test_proof import Sides
from tests.unit.test_migrating import PAIRS

RUNS = int(os.environ.get("MDELIVER_TEST_PROCMAIL_RUNS", "400"))

# procmail sleeps a second before it writes to an mbox: many wait together.
AT_ONCE = 48

SUBJECTS = ("compilers TeXt", "whatever meeting", "retrieve invoice surfing Digest", "re: invoice")

HEADS = (
    b"From: Peter P <peter@y.net>\nTo: scuba@x.org\nMessage-ID: <1@x.org>\n",
    b"From: eve@example.com\nTo: ann@example.org\nReply-To: Eve <eve@e.example>\n"
    b"Content-Type: text/plain\nContent-Transfer-Encoding: quoted-printable\nMessage-ID: <2@x>\n",
    b"From: postmaster@x.org\nTo: ann\nMessage-ID: <1@x.org>\n",
    b"From: print-server <lp@x.org>\nTo: ann@example.org\nX-Loop: your@own.mail.address\n",
)

BODIES = (b"spam\nX=3DY\n", b"%!PS\nshow\n", b"From me\n>From you\n\nthe end", b"")

_FROM_LINE = re.compile(rb"\AFrom \S+  \w{3} \w{3} +\d.*\n")
"""A body alone may begin with From as well."""

SCRIPTS = {
    "lpr": "#!/bin/sh\nexec {home}/note lpr\n",
    "rcvstore": '#!/bin/sh\nexec {home}/note rcvstore "$@"\n',
    "mimencode": "#!/bin/sh\nexec sed s/=3D/=/g\n",
}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _procmail() -> None:
    oracle.need_procmail()


def _messages(count: int) -> list[bytes]:
    made = []
    for number in range(count):
        subject = SUBJECTS[(number // 2) % len(SUBJECTS)].encode()
        head, body = HEADS[number % len(HEADS)], BODIES[(number // 3) % len(BODIES)]
        sender = b"MAILER-DAEMON" if number % 7 == 6 else b"eve@example.com"
        begin = b"From " + sender + b"  Mon Nov 23 10:00:00 2026\n"
        made.append(begin + head + b"Subject: " + subject + b"\n\n" + body)
    return made


def _furnish(directory: Path) -> None:
    """What the recipes of procmailex(5) take to be there."""
    directory.mkdir()
    oracle.prepare(directory)
    for name in ("bin", "backup", "spamfold", "wordprocessing", "dtp", time.strftime("%y-%m")):
        (directory / name).mkdir()
    for name, text in SCRIPTS.items():
        script = directory / "bin" / name
        script.write_text(text.format(home=directory))
        script.chmod(0o755)
    (directory / ".signature").write_text("Ann\n")
    (directory / ".urgent").write_text("(boss|eve)\n")
    (directory / "info_file").write_text("All about it.\n")
    for number in range(40):
        old = directory / "backup" / f"msg.{number:02}"
        old.write_text(f"{number}\n")
        os.utime(old, (1e9 + number, 1e9 + number))


def _path(directory: Path) -> str:
    return f"{directory}/bin:/usr/bin:/bin"


def _by_model(directory: Path, rules: str, message: bytes) -> oracle.Did:
    """What the model does in DIRECTORY, where it runs the programs of the rules."""
    before = set(directory.rglob("*"))
    text = oracle.preamble(directory, _path(directory)) + rules
    world = oracle.world_in(directory)
    world.programs = True
    fate = run_procmailrc(parse_procmailrc(text, "rc"), message, world)
    assert not fate.unknown, fate.unknown
    written = [d for d in fate.deliveries if d.kind != "pipe"]
    filed = oracle.of_model(directory, fate.replace(deliveries=tuple(written)))
    ran = oracle.read_back(directory, fate.status, before)
    return oracle.Did(
        fate.status,
        filed.mboxes | ran.mboxes,
        filed.messages | ran.messages,
        sorted([*filed.programs, *ran.programs]),
    )


def _in(did: oracle.Did, directory: Path) -> str:
    """DID as it would be in any directory; caches and locks are procmail's own business."""
    mboxes = {
        name: octets
        for name, octets in did.mboxes.items()
        if not name.endswith((".cache", ".lock"))
    }
    told = repr(did._replace(mboxes=dict(sorted(mboxes.items())))).replace(str(directory), "~")
    # A From_ line that formail made has the time of now.
    return re.sub(r"\d\d:\d\d:\d\d \d{4}", "TIME", told)


def test_every_recipe_of_procmailex(tmp_path: Path) -> None:
    def one(case: tuple[int, str, bytes], again: str = "") -> str:
        number, rules, message = case
        ours, theirs = tmp_path / f"m{again}{number:05}", tmp_path / f"p{again}{number:05}"
        _furnish(ours)
        _furnish(theirs)
        did = _by_model(ours, rules, message)
        real = oracle.real(theirs, rules, message, _path(theirs))
        kept = [
            sorted(path.name for path in (directory / "backup").glob("msg.[0-9][0-9]"))
            for directory in (ours, theirs)
        ]
        if _in(did, ours) == _in(real, theirs) and kept[0] == kept[1]:
            return ""
        return (
            f"{rules}\n{message.decode()}\nprocmail {_in(real, theirs)}\nmodel    {_in(did, ours)}"
        )

    recipes = [
        recipe.replace(":/usr/local/lib/emacs/lock/!home!john!Mail!mailbox", ":")
        for recipe, _ in PAIRS
    ]
    messages = _messages(max(4, RUNS // 100))
    pairs = [(recipe, message) for recipe in recipes for message in messages]
    cases = [(number, *pair) for number, pair in enumerate(pairs)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        suspects = [case for case, told in zip(cases, pool.map(one, cases), strict=True) if told]
    # Other looks, alone: on a loaded machine a program of procmail's may fail to start.
    for look in range(oracle.LOOKS):
        suspects = [case for case in suspects if one(case, f"again{look}-")]
    wrong = [told for case in suspects if (told := one(case, "last"))]
    assert not wrong, f"{len(wrong)} of {len(cases)} differ, the first:\n{wrong[0]}"


def _of_rules(sides: Sides, message: bytes, directory: Path) -> list[tuple[str, bytes]]:
    """What the converted rules deliver: the place or address, and its octets."""
    letter = letter_of(message)
    rehearsed = sides.rehearsal.of(Arrived(letter, 1.8e9), explain=False)
    return list(of_plan(rehearsed, str(directory), letter).octets)


def _of_procmail(did: oracle.Did, directory: Path) -> list[tuple[str, bytes]]:
    """The same of what procmail did."""
    made = []
    for name, stored in did.mboxes.items():
        made += [(f"in {directory}/{name}", b"From " + octets) for octets in stored if octets]
    for name, stored in did.messages.items():
        made += [(f"in {directory}/{name.rstrip('/')}", octets) for octets in stored]
    for (program, *arguments), given in did.programs:
        if "-oi" in arguments:
            made += [(f"to {address}", given) for address in arguments if address != "-oi"]
        else:
            # Programs get no From_ line of the rules: difference 24.
            words = f"program {' '.join([program, *arguments])}"
            made.append((words, _FROM_LINE.sub(b"", given)))
    return made


def _differ(ours: list[tuple[str, bytes]], theirs: list[tuple[str, bytes]]) -> str:
    """How what rules and procmail deliver differs, "" if only as it is meant to."""
    if {words for words, _ in ours} != {words for words, _ in theirs}:
        return "the places"
    for words, stored in theirs:
        found = [_difference(given, stored) for place, given in ours if place == words]
        if all(found):
            return f"{words}: {found[0]}"
    return ""


def _difference(ours: bytes, stored: bytes) -> str:
    """OURS against what procmail STORED: in an mbox with a From_ line and `From ` quoted."""
    if _FROM_LINE.match(stored):
        from_line, _, stored = stored.partition(b"\n")
        mail = read_mail(from_line + b"\n" + ours)
        begin, end = 0, len(mail.octets)
        box = Delivery("mbox", "", (), False, mail, begin, end, False, "")
        ours = box.stored().partition(b"\n")[2]
    return octets.difference(stored.rstrip(b"\n"), ours.rstrip(b"\n")).other


def test_converted_rules_deliver_what_procmail_delivers(tmp_path: Path) -> None:
    generator = Generator(RUNS + 1)
    site = load_site("/dev/null")

    cases: list[tuple[str, bytes]] = []
    while len(cases) < RUNS // 4:
        rules = clear_of_what_differs(generator.rules())
        converted = Sides(oracle.preamble(tmp_path) + rules, tmp_path, site).converted
        listed = any(entry.level != "note" for entry in converted.entries)
        if listed or "let match" in converted.text or "dir" in rules:
            continue
        # By Content-Length procmail leaves From lines in an mbox alone: difference 18.
        cases.append((rules, re.sub(rb"\nContent-Length:.*", b"", generator.message())))

    def real(number: int, again: str = "") -> oracle.Did:
        directory = tmp_path / f"{again}{number:05}"
        directory.mkdir()
        oracle.prepare(directory)
        (directory / "sub").mkdir()
        (directory / "lists").mkdir()
        return oracle.real(directory, *cases[number])

    def difference(number: int, did: oracle.Did, again: str = "") -> str:
        directory = tmp_path / f"{again}{number:05}"
        rules, message = cases[number]
        sides = Sides(oracle.preamble(directory) + rules, directory, site)
        ours = _of_rules(sides, message, directory)
        theirs = _of_procmail(did, directory)
        if not (found := _differ(ours, theirs)):
            return ""
        told = f"{found}\n{rules}\n{sides.converted.text}\n{message.decode()}"
        return f"{told}\nprocmail {theirs}\nrules    {ours}"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(real, range(len(cases))))
    suspects = [number for number, did in enumerate(results) if difference(number, did)]
    # Other looks, alone: on a loaded machine a program of procmail's may fail to start.
    for look in range(oracle.LOOKS):
        again = f"again{look}-"
        suspects = [n for n in suspects if difference(n, real(n, again), again)]
    wrong = [told for n in suspects if (told := difference(n, real(n, "last"), "last"))]
    assert not wrong, f"{len(wrong)} of {len(cases)} differ, the first:\n{wrong[0]}"
