"""A home to which one message is delivered into three places, for faults within a transaction.

The places are given, not found by rules: what is struck is transaction.py and what is below it.
See also  seam.py, which strikes; subjects.py, deeds from end to end
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mdeliver import limits
from mdeliver.deliver import journal
from mdeliver.deliver.transaction import deliver_files
from mdeliver.dotlock import keep_file_in
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, read_letter
from mdeliver.plan import Content, Edit, File
from tests.faults.seam import Fault, disturbed
from tests.mboxreader import Torn, read_mbox

if TYPE_CHECKING:
    from mdeliver.plan import Action

FROM_FIRST = b"From sender@example.net Tue Nov 14 22:13:20 2023\n"
FROM_RETRY = b"From sender@example.net Tue Nov 14 22:33:20 2023\n"

_TAGGED = Content(0, (Edit("add", "X-Tag", "by a rule", "r:1"),))


def file_of(octets: bytes) -> int:
    """A descriptor that OCTETS can be read from."""
    fd = os.memfd_create("message")
    os.write(fd, octets)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class Box:
    """One user's home for one trial.

    keeps  whether an attempt makes its lock files of one file, as a worker does
    """

    keeps = False

    def __init__(
        self, home: Path, message: bytes, *, spooled: bool = False, edited: bool = False
    ) -> None:
        self.home = home
        self.message = message
        self.spooled = spooled
        self.state = home / "state"
        self.state.mkdir(parents=True)
        self.maildir = home / "Maildir"
        self.mbox = home / "mbox"
        self.folder = self.maildir / ".Work"
        self.files: tuple[File, ...] = (
            File("maildir", str(self.maildir), str(self.maildir), "imap", None, (), None),
            File("mbox", str(self.mbox), str(self.mbox), "pop3", None, (), None),
            File("maildir", str(self.folder), str(self.maildir), "imap", "Work", ("seen",), "r:1"),
        )
        self.stored = message
        if edited:
            self.files = tuple([file.replace(content=_TAGGED) for file in self.files])
            self.stored = message.replace(b"\n\n", b"\nX-Tag: by a rule\n\n", 1)
        self.envelope = Envelope("ann", str(home), os.geteuid(), sender="sender@example.net")

    def deliver(
        self, from_line: bytes, fault: Fault | None = None, *, boot: str = "", message: bytes = b""
    ) -> tuple[int, list[str]]:
        """One attempt in a child of ours; returns its status and the system calls it made."""
        return disturbed(lambda: self._attempt(from_line, boot, message or self.message), fault)

    def _attempt(self, from_line: bytes, boot: str, message: bytes) -> None:
        if self.spooled:
            limits.MEMORY_BYTES, limits.COPY_BYTES = 256, 100
        if boot:
            journal.boot_id = lambda: boot
        if self.keeps:
            keep_file_in(str(self.state))
        self.carry_out(read_letter(file_of(from_line + message), str(self.state)))

    def carry_out(self, letter: Letter) -> None:
        """What an attempt does with the message."""
        self.deliver_files(self.files, letter)

    def deliver_files(
        self, actions: tuple[Action, ...], letter: Letter, filtered: tuple[Letter, ...] = ()
    ) -> None:
        """ACTIONS, as the agent has them done."""
        deliver_files(
            actions,
            letter,
            self.envelope,
            filtered=filtered,
            state_directory=str(self.state),
            hostname="host",
            now_s=1_700_000_000,
        )

    # --- what is there -------------------------------------------------------------------------

    def maildir_copies(self, folder: Path) -> list[bytes]:
        """Messages in new and cur of FOLDER that are ours."""
        return [
            octets
            for part in ("new", "cur")
            if (folder / part).is_dir()
            for path in sorted((folder / part).iterdir())
            if (octets := path.read_bytes()) == self.stored
        ]

    def mbox_copies(self) -> int:
        """How often our message is in the mbox, the header lines of POP3 servers not counted."""
        return sum(
            stored.message.replace(b"X-UID: 7\nStatus: RO\n", b"").rstrip(b"\n")
            == self.stored.rstrip(b"\n")
            for stored in read_mbox(self.mbox.read_bytes())
        )

    def faults_found(self, *, moved: Path | None = None) -> list[str]:
        """What is wrong after the retry: lost, doubled, torn, litter."""
        found = []
        try:
            in_mbox = self.mbox_copies()
        except Torn as torn:
            return [f"torn mbox: {torn}"]
        inbox = self.maildir_copies(self.maildir) + (self.maildir_copies(moved) if moved else [])
        for name, count in (
            ("Maildir", len(inbox)),
            ("Maildir/.Work", len(self.maildir_copies(self.folder))),
            ("mbox", in_mbox),
        ):
            if count != 1:
                found.append(f"{'lost in' if count == 0 else f'{count} times in'} {name}")
        for path in self.home.rglob("*"):
            if path.name.endswith(".lock") or path.parent.name == "tmp" or ".new" in path.name:
                found.append(f"litter {path.relative_to(self.home)}")
        return found

    def remove(self) -> None:
        shutil.rmtree(self.home)
