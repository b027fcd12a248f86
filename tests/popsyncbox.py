"""One user's mail in a directory: a Maildir, an mbox and a decision log, as deliveries leave them.

What POP3 and IMAP servers do to them is done here by hand, so that a test says it in one word.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mdeliver.history import decisions
from mdeliver.plan import File
from mdeliver.popsync import sync
from mdeliver.popsync.carry import Change
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync
from mdeliver.popsync.sync import Looked

FROM = "From a@b.example Tue Nov 14 22:13:20 2023"


class Mail:
    """The mail of one user, with messages that are called by numbers."""

    def __init__(self, home: Path, **choices: Any) -> None:
        self.home = home
        self.state, self.maildir, self.mbox = home / "state", home / "Maildir", home / "mbox"
        self.choices = PopSync(**choices)
        self.state.mkdir(parents=True, exist_ok=True)
        for part in ("new", "cur", "tmp"):
            (self.maildir / part).mkdir(parents=True, exist_ok=True)
        self.mbox.touch(0o600)
        self.numbers: list[int] = []
        """Messages that a test has something to say about."""

    # --- what happens ------------------------------------------------------------------------

    def deliver(self, *numbers: int, log: bool = True, mbox: bool = True) -> None:
        """Put each message into both stores, and tell of it in the log."""
        for n in numbers:
            octets = b"Message-ID: <%d@x>\nSubject: %d\n\nbody %d\n" % (n, n, n)
            (self.maildir / "new" / f"{n}.M1P1.host").write_bytes(octets)
            if not mbox:
                continue
            entry = FROM.encode() + b"\n" + octets + b"\n"
            offset = self.mbox.stat().st_size
            with self.mbox.open("ab") as file:
                file.write(entry)
            if log:
                self._log(n, offset, len(entry))

    def _log(self, n: int, offset: int, length: int) -> None:
        copy = {
            "action": "file", "store": "maildir", "path": str(self.maildir), "flags": (),
            "name": f"{n}.M1P1.host",
        }  # fmt: skip
        entry = {
            "action": "file", "store": "mbox", "path": str(self.mbox), "flags": (),
            "from_line": FROM, "offset": offset, "length": length,
        }  # fmt: skip
        said = {"message_id": f"<{n}@x>", "actions": [copy, entry]}
        decisions.append(str(self.state), decisions.as_json(said).encode() + b"\n", 1000, 4)

    def pop3(self, *retrieved: int, deleted: tuple[int, ...] = ()) -> None:
        """A session; the server writes the file anew."""
        rewritten = b""
        for entry in self._entries():
            n = _number(entry)
            if n in deleted:
                continue
            if n in retrieved:
                entry = entry.replace(b"Status: O\n", b"")
                entry = entry.replace(b"\n\n", b"\nStatus: RO\n\n", 1)
            elif b"\nStatus: " not in entry:
                entry = entry.replace(b"\n\n", b"\nStatus: O\n\n", 1)
            rewritten += entry
        self.mbox.write_bytes(rewritten)

    def imap(self, n: int, *, flags: str = "", folder: str = "") -> None:
        """Mark message N, or move it to FOLDER; with FOLDER "gone" it is expunged."""
        path = self.copies()[n]
        if folder == "gone":
            path.unlink()
            return
        directory = self.maildir / folder
        for part in ("new", "cur", "tmp"):
            (directory / part).mkdir(parents=True, exist_ok=True)
        path.rename(directory / "cur" / f"{path.name.partition(':')[0]}:2,{flags}")

    def look(self, *, do: bool = True, tell: Callable[[Change], None] | None = None) -> Looked:
        """As `mdeliver pop-sync --once`."""
        with sync.alone(str(self.state)):
            ledger = Ledger(str(self.state), keep=do)
            try:
                said = tell or (lambda _change: None)
                return sync.look_through(self.account(), ledger, said, do=do)
            finally:
                ledger.close()

    def account(self) -> sync.Account:
        mbox, root = str(self.mbox), str(self.maildir)
        inbox = (
            File("maildir", root, root, "imap", None, (), None),
            File("mbox", mbox, mbox, "pop3", None, (), None),
        )
        return sync.Account("ann", str(self.state), "h", (mbox,), (root,), self.choices, inbox)

    # --- what there is -----------------------------------------------------------------------

    def _entries(self) -> list[bytes]:
        found = re.split(rb"(?<=\n\n)(?=From )", self.mbox.read_bytes())
        return [entry for entry in found if entry]

    def in_mbox(self) -> list[int]:
        """The messages in the mbox, in their order."""
        return [_number(entry) for entry in self._entries()]

    def copies(self) -> dict[int, Path]:
        """Where the Maildir has each message; none is there twice."""
        found: dict[int, Path] = {}
        for path in self.maildir.rglob("*M1P1*"):
            n = int(path.name.partition(".")[0])
            assert n not in found, f"{path} and {found[n]}"
            found[n] = path
        return found


def _number(entry: bytes) -> int:
    found = re.search(rb"^Message-ID: <(\d+)@x>$", entry, re.MULTILINE)
    assert found is not None, entry
    return int(found[1])
