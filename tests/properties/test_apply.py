"""Rules over any Maildir, and back: every name and octet is as it was; again, and nothing happens.

The Maildir has messages in inbox and folders, with flags and without, some alike and some of one
name; rules are made of what `apply` does, and of what it leaves.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from mdeliver.cli.apply import command

STORES = """\
mailbox imap = maildir "~/Maildir"
mailbox other = maildir "~/Other"
mailbox mboxes = mbox "~/mboxes/{folder}"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""

places = st.sampled_from(
    ["imap", "imap/Lists", "imap/A/B", "other", "other/C", "mboxes/D", "inbox"]
)
flags = st.sampled_from(["", " as seen", " as flagged, answered"])
filing = st.tuples(st.lists(places, min_size=1, max_size=3, unique=True), flags).map(
    lambda made: f"file to {', '.join(made[0])}{made[1]}"
)
final = st.sampled_from(["discard", 'reject "no"', "defer", "keep as draft", 'forward to "a@b"'])
besides = st.sampled_from(["mark as seen", 'log "x"', 'set header "X: y"'])
actions = filing | final | besides | filing.map(lambda words: f"also {words}")
rules = st.lists(st.tuples(st.sampled_from("abc"), actions), max_size=5).map(
    lambda made: "".join([f'if subject contains "{x}":\n    {words}\n' for x, words in made])
)

parts = st.tuples(
    st.sampled_from(["", ".Lists", ".A.B"]),
    st.sampled_from(["new", "cur"]),
    st.sampled_from(["1.M1.host", "1.M1.host,S=77", "2.M1.host", "3.M1.host", "x y"]),
    st.sampled_from(["", ":2,", ":2,S", ":2,SF", ":2,FRSab", ":1,odd"]),
)
messages = st.dictionaries(
    parts, st.tuples(st.text("abc", max_size=2), st.sampled_from([b"", b"From x\n\n", b"\r\n"])),
    max_size=6,
)  # fmt: skip


def run(home: Path, *arguments: str) -> int:
    clean = {name: None for name in os.environ if name.isupper() and name != "PATH"}
    environ = clean | {"HOME": str(home), "USER": "ann"}
    result = CliRunner().invoke(command, arguments, env=environ)
    assert not (result.exception and not isinstance(result.exception, SystemExit)), result
    return result.exit_code


def listing(home: Path) -> dict[str, bytes | None]:
    """Every directory, every file and its octets, but what is mdeliver's own and subscriptions."""
    found: dict[str, bytes | None] = {}
    for top in ("Maildir", "Other", "mboxes", "mbox"):
        for path in sorted([home / top, *(home / top).rglob("*")]):
            # A mailbox that was made stays, empty as it is; so does a mbox, without a message.
            empty = path.is_file() and not path.stat().st_size and path.name != "maildirfolder"
            made = (
                path.name in ("subscriptions", "Other", "mboxes") or path.parent == home / "Other"
            )
            if path.exists() and not made and not (empty and path.parent.name == "mboxes"):
                name = str(path.relative_to(home))
                found[name] = path.read_bytes() if path.is_file() else None
    return found


def octets(home: Path) -> Counter[bytes]:
    """Every message that is in a Maildir."""
    files = [p for p in home.rglob("*") if p.parent.name in ("new", "cur") and p.is_file()]
    return Counter([path.read_bytes() for path in files])


def make(home: Path, text: str, stored: dict[tuple[str, ...], tuple[str, bytes]]) -> None:
    file = home / ".config" / "mdeliver" / "rules"
    file.parent.mkdir(parents=True)
    file.write_text(STORES + text)
    file.chmod(0o600)
    for folder in ("", ".Lists", ".A.B"):
        for part in ("new", "cur", "tmp"):
            (home / "Maildir" / folder / part).mkdir(parents=True, exist_ok=True)
    for (folder, part, unique, info), (subject, body) in stored.items():
        name = unique if part == "new" else f"{unique}{info}"
        path = home / "Maildir" / folder / part / name
        path.write_bytes(f"Subject: {subject}\n\n".encode() + body)


@given(
    rules,
    messages,
    st.lists(st.sampled_from(["imap", "imap/Lists", "imap/A/B"]), min_size=1, max_size=3),
)
@settings(max_examples=60, deadline=None)
def test_undo_brings_back_every_name_and_octet(
    text: str, stored: dict[tuple[str, ...], tuple[str, bytes]], folders: Sequence[str]
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        make(home, text, stored)
        states = [listing(home)]
        before = octets(home)
        for folder in folders:
            assert run(home, folder, "--yes") == 0
            if listing(home) != states[-1]:
                states.append(listing(home))
            # Every message is still there, in one place or more.
            assert not before - octets(home)
        records = home / ".local" / "state" / "mdeliver" / "applied"
        done = list(records.glob("2*")) if records.exists() else []
        assert len(done) >= len(states) - 1
        for _ in done:
            assert run(home, "--undo") == 0
        assert listing(home) == states[0]
        assert all(json.loads(p.read_text().splitlines()[-1])["undone"] for p in done)
