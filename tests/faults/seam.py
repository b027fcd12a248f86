"""Fault injection in process: fail, or die at, the n-th system call of a delivery.

Every module of mdeliver reaches the kernel through the names `system` and `fcntl`; in a forked
child these are replaced by stand-ins that count the calls. A trial is one delivery with one fault,
what happens to the mailboxes in between, and the clean retry that Postfix would make.

See also    inject.py, which does the same from outside with strace, interpreter and fuse included
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mdeliver import limits, system
from mdeliver.deliver import journal
from mdeliver.deliver.transaction import deliver_files
from mdeliver.envelope import Envelope
from mdeliver.letter import Letter, read_letter
from mdeliver.plan import Content, Edit, File
from tests.mboxreader import Torn, read_mbox

if TYPE_CHECKING:
    from mdeliver.plan import Action

DONE, FAILED, BROKEN, KILLED = 10, 11, 12, 9

Kind = Literal["kill before", "kill after", "ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "ENOMEM"]
KINDS: tuple[Kind, ...] = (
    "kill before", "kill after", "ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "ENOMEM",
)  # fmt: skip

# Not system calls, or calls that cannot fail in a way the caller could see.
_PURE = {
    "path",
    "fsencode",
    "fsdecode",
    "getpid",
    "geteuid",
    "urandom",
    "uname",
    "environ",
    "umask",
    "_exit",
    "strerror",
    "waitstatus_to_exitcode",
}

FROM_FIRST = b"From sender@example.net Tue Nov 14 22:13:20 2023\n"
FROM_RETRY = b"From sender@example.net Tue Nov 14 22:33:20 2023\n"

_TAGGED = Content(0, (Edit("add", "X-Tag", "by a rule", "r:1"),))


class Fault(NamedTuple):
    """What happens at call number NUMBER (from 0) of a delivery."""

    number: int
    kind: Kind


class _Counted:
    """Stands for a module: counts the calls of its functions and commits the fault."""

    def __init__(self, module: ModuleType, calls: list[str], fault: Fault | None) -> None:
        self._module = module
        self._calls = calls
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._module, name)
        if name in _PURE or not callable(thing) or isinstance(thing, type):
            return thing

        def call(*arguments: Any, **named: Any) -> Any:
            number = len(self._calls)
            self._calls.append(name)
            if self._fault is None or self._fault.number != number:
                return thing(*arguments, **named)
            kind = self._fault.kind
            if kind == "kill after":
                self._half(name, thing, arguments, named)
                os._exit(KILLED)
            if kind == "kill before":
                os._exit(KILLED)
            raise OSError(getattr(errno, kind), f"injected at {name}")

        return call

    @staticmethod
    def _half(name: str, thing: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> None:
        """A killed write may have written a part; every other call is whole or not at all."""
        if name == "write" and len(arguments[1]) > 1:
            thing(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        else:
            thing(*arguments, **named)


class Box:
    """One user's home for one trial."""

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
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                status = self._attempt(from_line, fault, boot, writing, message or self.message)
            except BaseException:
                traceback.print_exc()
                status = BROKEN
            os._exit(status)
        os.close(writing)
        with open(reading, "rb") as pipe:
            calls = pipe.read().decode().split()
        _, wait_status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(wait_status), calls

    def _attempt(
        self, from_line: bytes, fault: Fault | None, boot: str, report: int, message: bytes
    ) -> int:
        if self.spooled:
            limits.MEMORY_BYTES, limits.COPY_BYTES = 256, 100
        if boot:
            journal.boot_id = lambda: boot
        incoming = os.memfd_create("message")
        os.write(incoming, from_line + message)
        os.lseek(incoming, 0, os.SEEK_SET)
        calls: list[str] = []
        for of, module in list(sys.modules.items()):
            if of.startswith("mdeliver."):
                for name, wanted in (("system", system), ("fcntl", fcntl)):
                    if getattr(module, name, None) is wanted:
                        setattr(module, name, _Counted(wanted, calls, fault))
        try:
            self.carry_out(read_letter(incoming, str(self.state)))
        except Exception:
            os.write(report, " ".join(calls).encode())
            return FAILED
        os.write(report, " ".join(calls).encode())
        return DONE

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
