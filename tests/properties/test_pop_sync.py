"""Deliveries, POP3 and IMAP clients, kills and restarts in any order, against a simple model.

The model knows for each message whether POP3 has downloaded it, what the user did with its copy,
and so where it must be and how it must be marked once pop-sync has looked. No message is ever lost
in either store, and no copy is marked or moved that was not downloaded.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import Literal
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mdeliver.deliver.transaction import Done, deliver_files
from mdeliver.envelope import Envelope
from mdeliver.history import decisions
from mdeliver.letter import letter_of
from mdeliver.plan import File
from mdeliver.popsync import noting, sync
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync
from tests.mboxreader import read_mbox

Choice = Literal["keep", "read", "archive", "delete"]
FOLDERS = {"archive": ".Archive", "delete": ".Trash"}
PICK = st.integers(0, 1000)


class Killed(BaseException):
    """The process ends here."""


class Message:
    """What the model knows of one message."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.downloaded = self.carried = False
        # Whether pop-sync can know of it: it saw it in the mbox, or in the log.
        self.known = self.logged = False
        # Whether it knows its copy: it saw it in the mbox, and its delivery in the log.
        self.bound = False
        self.in_mbox = self.in_maildir = True
        self.folder = ""
        self.flags: set[str] = set()

    def carry(self, choice: Choice) -> None:
        """What pop-sync must do."""
        self.known |= self.in_mbox or self.logged
        self.bound |= self.in_mbox and self.logged
        if not self.downloaded or self.carried or not self.known:
            return
        self.carried = True
        if choice == "keep" or not self.in_maildir:
            return
        if choice in FOLDERS and not self.folder and not self.flags & set("FR"):
            self.folder = FOLDERS[choice]
        self.flags.add("S")

    def go_back(self) -> None:
        """What pop-sync must do about what was deleted in IMAP."""
        if self.bound and not self.downloaded and (not self.in_maildir or self.folder == ".Trash"):
            self.in_mbox = False


class Mail(RuleBasedStateMachine):
    """One user's mail."""

    def __init__(self) -> None:
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="mdeliver-pop-sync-"))
        self.maildir, self.mbox = self.home / "Maildir", self.home / "mbox"
        self.state = self.home / "state"
        self.state.mkdir()
        self.messages: dict[str, Message] = {}
        self.choice: Choice = "read"
        self.both_ways = False
        # So that there are several blocks of them.
        self.small = mock.patch.object(noting, "MESSAGES", 2)
        self.small.start()

    def teardown(self) -> None:
        self.small.stop()
        shutil.rmtree(self.home)

    @initialize(
        choice=st.sampled_from(["keep", "read", "archive", "delete"]), both_ways=st.booleans()
    )
    def choose(self, choice: Choice, both_ways: bool) -> None:
        self.choice = choice
        self.both_ways = both_ways

    # --- what happens --------------------------------------------------------------------------

    @rule(
        body=st.sampled_from([b"", b"text\n", b"From me\n\nFrom you", b"\n\n\n"]), log=st.booleans()
    )
    def deliver(self, body: bytes, log: bool) -> None:
        name = f"{len(self.messages)}@x"
        letter = letter_of(b"Message-ID: <%s>\nSubject: s\n\n%s" % (name.encode(), body))
        root = str(self.maildir)
        files = (
            File("maildir", root, root, "imap", None, (), None),
            File("mbox", str(self.mbox), str(self.mbox), "pop3", None, (), None),
        )
        done = Done()
        # One a second: of two in the same second, one that was never seen is not taken for removed.
        envelope = Envelope("ann", str(self.home), os.geteuid(), sender="a@b.example")
        deliver_files(
            files, letter, envelope, state_directory=str(self.state), hostname="h",
            now_s=1_700_000_000 + len(self.messages), done=done,
        )  # fmt: skip
        if log:
            self._log(name, done)
        self.messages[name] = Message(name)
        self.messages[name].logged = log

    def _log(self, name: str, done: Done) -> None:
        (maildir, mbox) = done.places
        from_line = done.from_line.decode().rstrip("\n")
        said = {
            "message_id": f"<{name}>",
            "actions": [
                {"action": "file", "store": "maildir", "path": maildir[1], "flags": (),
                 "name": maildir[-1]},
                {"action": "file", "store": "mbox", "path": mbox[1], "flags": (),
                 "from_line": from_line, "offset": int(mbox[-2]), "length": int(mbox[-1])},
            ],
        }  # fmt: skip
        line = decisions.as_json(said).encode() + b"\n"
        # So small that the log is put aside every few deliveries.
        decisions.append(str(self.state), line, 1, 100)

    @rule(pick=PICK, delete=st.booleans(), quits=st.booleans(), shuffle=st.booleans())
    def pop3(self, pick: int, delete: bool, quits: bool, shuffle: bool) -> None:
        """A session that downloads one message; the server writes the file in its own manner."""
        there = [m for m in self.messages.values() if m.in_mbox]
        if not there:
            return
        chosen = there[pick % len(there)]
        text = self.mbox.read_bytes()
        entries = re.split(rb"(?<=\n\n)(?=From a@b\.example )", text)
        rewritten = []
        for uid, entry in enumerate(entries, 1):
            entry = re.sub(rb"^(Status|X-UID): .*\n", b"", entry, flags=re.MULTILINE)
            (name,) = re.findall(rb"^Message-ID: <(.*)>$", entry, re.MULTILINE)
            message = self.messages[name.decode()]
            if message is chosen:
                if delete and quits:
                    message.in_mbox = False
                    message.downloaded = True
                    continue
                message.downloaded = True
            status = b"RO" if message.downloaded else b"O"
            words = b"X-UID: %d\nStatus: %s\n\n" % (uid * 7, status)
            rewritten.append(entry.replace(b"\n\n", b"\n" + words, 1))
        if shuffle:
            rewritten.reverse()
        self.mbox.write_bytes(b"".join(rewritten))

    @rule(pick=PICK, deed=st.sampled_from(["F", "R", "S", "move", "trash", "remove"]))
    def imap(self, pick: int, deed: str) -> None:
        """A client marks, moves or removes one message."""
        there = [m for m in self.messages.values() if m.in_maildir]
        if not there:
            return
        chosen = there[pick % len(there)]
        path = self.found()[chosen.name]
        if deed == "remove":
            path.unlink()
            chosen.in_maildir = False
            return
        folder = path.parent.parent
        if deed in ("move", "trash"):
            chosen.folder = ".Work" if deed == "move" else ".Trash"
            folder = self.maildir / chosen.folder
            for part in ("new", "cur", "tmp"):
                (folder / part).mkdir(parents=True, exist_ok=True)
        else:
            chosen.flags.add(deed)
        unique = path.name.partition(":")[0]
        path.rename(folder / "cur" / f"{unique}:2,{''.join(sorted(chosen.flags))}")

    @rule()
    def look(self) -> None:
        self._look(None)
        self._looked()

    def _looked(self) -> None:
        for message in self.messages.values():
            message.carry(self.choice)
            if self.both_ways:
                message.go_back()
        self.check()

    @precondition(lambda self: any(m.downloaded and not m.carried for m in self.messages.values()))
    @rule(after=st.integers(0, 3))
    def killed_while_looking(self, after: int) -> None:
        """Some are carried over, then the process ends; the next look does the rest."""
        self._look(after)
        self._look(None)
        self._looked()

    @rule()
    def forget_log(self) -> None:
        """The log is rotated away before it was looked at."""
        for path in self.state.glob("log*"):
            path.unlink()
        for message in self.messages.values():
            message.logged = False

    def _look(self, killed_after: int | None) -> None:
        told = 0

        def tell(_change: object) -> None:
            nonlocal told
            told += 1
            if killed_after is not None and told > killed_after:
                raise Killed

        mine = sync.Account(
            "ann", str(self.state), "h", (str(self.mbox),), (str(self.maildir),),
            PopSync(downloaded=self.choice, both_ways=self.both_ways),
        )  # fmt: skip
        with sync.alone(str(self.state)):
            ledger = Ledger(str(self.state), keep=True)
            try:
                assert not sync.look(mine, ledger, tell, do=True).troubles
            except Killed:
                pass
            finally:
                ledger.close()

    # --- what must be so -----------------------------------------------------------------------

    def found(self) -> dict[str, Path]:
        """Every message in the Maildir, by name; none is there twice."""
        there: dict[str, Path] = {}
        for path in self.maildir.glob("**/[nc][eu][wr]/*"):
            (name,) = re.findall(rb"Message-ID: <(.*)>", path.read_bytes())
            assert name.decode() not in there, f"{name!r} is there twice"
            there[name.decode()] = path
        return there

    def check(self) -> None:
        """All is as the model says."""
        for name, path in self.found().items():
            message = self.messages[name]
            folder = path.parent.parent.name
            assert (folder if folder != "Maildir" else "") == message.folder, name
            assert set(path.name.partition(":2,")[2]) == message.flags, name

    @invariant()
    def nothing_is_lost(self) -> None:
        assert set(self.found()) == {m.name for m in self.messages.values() if m.in_maildir}
        if self.mbox.exists():
            stored = read_mbox(self.mbox.read_bytes())
            assert len(stored) == sum(m.in_mbox for m in self.messages.values())


Mail.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestMail = Mail.TestCase
