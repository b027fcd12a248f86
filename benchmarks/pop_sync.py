"""`mdeliver pop-sync` on an mbox of 500 MB with 50 000 messages: the first look, then a change.

.venv/bin/python benchmarks/pop_sync.py [MESSAGES [OCTETS OF EACH]]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from mdeliver.popsync import sync
from mdeliver.popsync.ledger import Ledger
from mdeliver.popsync.settings import PopSync

FROM = b"From a@b.example Tue Nov 14 22:13:20 2023\n"


def message(number: int, octets: int) -> bytes:
    head = b"Message-ID: <%d@x>\nX-Fill: %s\n\n" % (number, b"f" * 1000)
    body = (b"%d " % number + b"text " * 14 + b"\n") * (octets // 80)
    return FROM + head + body[: octets - len(head)] + b"\n\n"


def look(ledger: Ledger, home: Path, what: str) -> None:
    mbox, maildir, state = str(home / "mbox"), str(home / "Maildir"), str(home / "state")
    mine = sync.Account("ann", state, "h", (mbox,), (maildir,), PopSync(downloaded="read"))
    began = time.perf_counter()
    looked = sync.look(mine, ledger, lambda _change: None, do=True)
    seconds = f"{1000 * (time.perf_counter() - began):8.1f} ms"
    print(f"{what:40} {seconds}, {len(looked.changes)} changes")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    octets = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        home = Path(directory)
        (home / "state").mkdir()
        for part in ("new", "cur", "tmp"):
            (home / "Maildir" / part).mkdir(parents=True)
        with (home / "mbox").open("wb") as file:
            for number in range(count):
                file.write(message(number, octets))
        print(f"{count} messages, {(home / 'mbox').stat().st_size >> 20} MB")
        ledger = Ledger(str(home / "state"), keep=True)
        look(ledger, home, "first look")
        look(ledger, home, "nothing has changed, times not settled")
        with (home / "mbox").open("ab") as file:
            file.write(message(count, octets))
        look(ledger, home, "one message appended")
        with (home / "mbox").open("r+b") as file:
            text = message(count, octets).replace(b"\n\n", b"\nStatus: RO\n\n", 1)
            file.seek(-len(message(count, octets)), 2)
            file.write(text)
        look(ledger, home, "the last one downloaded")
        # What the ledger waits for: a later second on the file system's clock.
        time.sleep(1.1)
        look(ledger, home, "times settled")
        look(ledger, home, "nothing has changed")
        ledger.close()
        with (home / "mbox").open("ab") as file:
            file.write(message(count + 1, octets))
        ledger = Ledger(str(home / "state"), keep=True)
        look(ledger, home, "one appended, seen by --once")
        ledger.close()


if __name__ == "__main__":
    main()
