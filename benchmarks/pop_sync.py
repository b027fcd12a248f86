"""`mdeliver pop-sync` on an mbox of 500 MB with 50 000 messages: the first look, then changes.

    python -m benchmarks.pop_sync [MESSAGES [OCTETS OF EACH]]

Three mboxes: one in which no POP3 server has written; one whose client leaves mail on the server,
and has downloaded all but ten; one in which Dovecot has numbered all, and nobody downloaded any.
The changes: a delivery appends a message, and a session marks one that is there already. Each is
looked at by a daemon that has the ledger open, and by a process that opens it for one look.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from mdeliver.popsync import sync
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync

FROM = b"From a@b.example Tue Nov 14 22:13:20 2023\n"
NEW, SEEN = b"Status: O \n", b"Status: RO\n"
"""Dovecot leaves room, so that a mark need not move what follows."""


def message(number: int, octets: int, status: bytes) -> bytes:
    """The entry of message NUMBER; STATUS is what a server has written into it, if it has."""
    server = b"X-UID: %d\n%s" % (number, status) if status else b""
    head = b"Message-ID: <%d@x>\nX-Fill: %s\n%s\n" % (number, b"f" * 1000, server)
    body = (b"%d " % number + b"text " * 14 + b"\n") * (octets // 80)
    return FROM + head + body[: octets - len(head)] + b"\n\n"


class Mail:
    """A user with COUNT messages, of which `status_of` says how the server has marked them."""

    def __init__(self, home: Path, statuses: Iterator[bytes], octets: int) -> None:
        self._octets = octets
        self._mbox = home / "mbox"
        (home / "state").mkdir(parents=True)
        for part in ("new", "cur", "tmp"):
            (home / "Maildir" / part).mkdir(parents=True)
        self._places = []
        with self._mbox.open("wb") as file:
            for number, status in enumerate(statuses):
                self._places.append(file.tell())
                file.write(message(number, octets, status))
        self._account = sync.Account(
            "ann", str(home / "state"), "h", (str(self._mbox),), (str(home / "Maildir"),),
            PopSync(downloaded="read"),
        )  # fmt: skip
        self._ledger = self._open()

    def _open(self) -> Ledger:
        return Ledger(self._account.state, keep=True)

    def deliver(self) -> None:
        """One more."""
        with self._mbox.open("ab") as file:
            self._places.append(file.tell())
            file.write(message(len(self._places), self._octets, b""))

    def mark(self, number: int) -> None:
        """A POP3 session downloads message NUMBER."""
        with self._mbox.open("r+b") as file:
            file.seek(self._places[number])
            head = file.read(2000)
            file.seek(self._places[number] + head.index(NEW))
            file.write(SEEN)

    def look(self, what: str) -> None:
        """Look, and say how long that took."""
        self._timed(what, self._look)

    def look_once(self, what: str) -> None:
        """The same with a ledger that has to be opened."""
        self._ledger.close()

        def opened() -> None:
            self._ledger = self._open()
            self._look()

        self._timed(what, opened)

    def _look(self) -> None:
        sync.look(self._account, self._ledger, lambda _change: None, do=True)

    def _timed(self, what: str, deed: Callable[[], None]) -> None:
        wall_s, cpu_s = time.perf_counter(), time.process_time()
        deed()
        wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
        print(f"  {what:44} {1000 * wall_s:9.1f} ms, of them CPU {1000 * cpu_s:9.1f} ms")

    def number(self) -> None:
        """A server writes its lines into all messages, and moves all of them."""
        entries = self._mbox.read_bytes().split(FROM)[1:]
        self._places = []
        with self._mbox.open("wb") as file:
            for number, entry in enumerate(entries):
                self._places.append(file.tell())
                lines = b"\nX-UID: %d\n%s\n" % (number, NEW)
                file.write(FROM + (entry if NEW in entry else entry.replace(b"\n\n", lines, 1)))


def main() -> None:
    """Print how long each look takes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    octets = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    kinds = {
        "no server has written": [b""] * (count - 10) + [NEW] * 10,
        "all but ten downloaded": [SEEN] * (count - 10) + [NEW] * 10,
        "numbered by a server, none downloaded": [NEW] * count,
    }
    for name, statuses in kinds.items():
        with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
            mail = Mail(Path(directory) / "ann", iter(statuses), octets)
            print(f"{name}: {count} messages, {count * octets >> 20} MB")
            mail.look("first look")
            for number in (1, 2):
                mail.deliver()
                mail.look(f"delivery {number}")
            mail.mark(count - 1)
            mail.look("the last one marked")
            mail.mark(count - 10)
            mail.look("one before it marked")
            if statuses[count // 2] == NEW:
                mail.mark(count // 2)
                mail.look("one in the middle marked")
            if not statuses[0]:
                mail.number()
                mail.look("a server has numbered all of them")
            mail.deliver()
            mail.look_once("delivery, seen by a process for one look")
            mail.mark(count - 5)
            mail.look_once("mark, seen by a process for one look")


if __name__ == "__main__":
    main()
