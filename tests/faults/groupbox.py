"""A home to which three messages are delivered together, for faults within a group commit.

See also  box.py, for one message; deliver/together.py
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from mdeliver.deliver import journal
from mdeliver.deliver.journalfile import KeptJournal
from mdeliver.deliver.together import Wanted, deliver_together
from mdeliver.deliver.transaction import Done, deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, letter_of
from mdeliver.outcome import Deferral
from mdeliver.plan import File
from tests.faults.seam import Fault, disturbed
from tests.mboxreader import Torn, read_mbox

EARLIER = b"From z@example.net Tue Nov 14 22:00:00 2023\nSubject: earlier\n\nearlier\n\n"
FROM_FIRST = b"From sender@example.net Tue Nov 14 22:13:20 2023\n"
FROM_RETRY = b"From sender@example.net Tue Nov 14 22:33:20 2023\n"

MESSAGES = (
    b"Subject: one\n\nFrom the start\n>From quoted\nno newline at the end",
    b"Subject: two\n\n" + b"a line of the second\n" * 30,
    b"Subject: three\n\nthe last of them\n\n",
)
OTHER = b"Subject: other\n\nanother message\n"


class GroupBox:
    """One user's home for one trial: a Maildir and an mbox that has mail already."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = home / "state"
        self.state.mkdir(parents=True)
        self.maildir, self.mbox = home / "Maildir", home / "mbox"
        self.mbox.write_bytes(EARLIER)
        self.files = (
            File("maildir", str(self.maildir), str(self.maildir), "imap", None, (), None),
            File("mbox", str(self.mbox), str(self.mbox), "pop3", None, (), None),
        )
        self.envelope = Envelope("ann", str(home), os.geteuid(), sender="sender@example.net")

    def together(
        self, from_line: bytes, fault: Fault | None = None, *, boot: str = ""
    ) -> tuple[int, list[str]]:
        """Deliver the messages as a worker does, in a child; its end, and its system calls."""
        return disturbed(lambda: self._together(from_line, boot), fault)

    def _together(self, from_line: bytes, boot: str) -> None:
        self._be_in(boot)
        letters = [letter_of(from_line + message) for message in MESSAGES]
        kept = KeptJournal(str(self.state))
        wanted = [
            Wanted(self.files, letter, self.envelope, 1_700_000_000, "", Done())
            for letter in letters
        ]
        words = deliver_together(
            wanted, journal_file=kept, state_directory=str(self.state), hostname="host"
        )
        failed: OSError | Deferral | None = None
        for letter, done in zip(letters, words, strict=True):
            try:
                if done is None:
                    self._deliver(letter, kept)
            except (OSError, Deferral) as error:
                failed = error
        if failed is not None:
            raise failed

    def alone(self, from_line: bytes, message: bytes, *, boot: str = "") -> int:
        """Deliver one message as a process of its own does; its end."""

        def deliver() -> None:
            self._be_in(boot)
            self._deliver(letter_of(from_line + message), None)

        return disturbed(deliver)[0]

    def _be_in(self, boot: str) -> None:
        if boot:
            journal.boot_id = lambda: boot

    def _deliver(self, letter: Letter, kept: KeptJournal | None) -> None:
        deliver_files(
            self.files,
            letter,
            self.envelope,
            state_directory=str(self.state),
            hostname="host",
            now_s=1_700_000_000,
            journal_file=kept,
        )

    def faults_found(self) -> list[str]:
        """What is wrong in the end: lost, doubled, torn, litter."""
        try:
            in_mbox = [stored.message.rstrip(b"\n") for stored in read_mbox(self.mbox.read_bytes())]
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        in_maildir = [path.read_bytes() for path in self.maildir.glob("new/*")]
        found = []
        for message in MESSAGES:
            counts = in_mbox.count(message.rstrip(b"\n")), in_maildir.count(message)
            if counts != (1, 1):
                found.append(f"{message[:14]!r} is {counts} times in mbox and Maildir")
        foreign = set(in_mbox) - {m.rstrip(b"\n") for m in (*MESSAGES, OTHER)} - {_EARLIER_MESSAGE}
        found += [f"torn in the mbox: {message[:40]!r}" for message in foreign]
        for path in self.home.rglob("*"):
            if path.name.endswith((".lock", ".new")) or path.parent.name == "tmp":
                found.append(f"litter {path.relative_to(self.home)}")
        return found

    def remove(self) -> None:
        shutil.rmtree(self.home)


_EARLIER_MESSAGE = b"Subject: earlier\n\nearlier"
