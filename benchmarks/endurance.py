"""Many deliveries to one server: does anything grow, does a message cost more than the first?

Load       Postfix's smtp-source, 16 sessions kept, 4 KB, in steps; dual delivery (mbox and Maildir)
Shown      for each step: deliveries a second, CPU of one, memory (Pss) and open descriptors of all
           processes; the mbox's size grows from step to step, and so does the Maildir
Mbox       --mbox-gb N: it begins with N GB of earlier mail (one sparse message), whose size must
           not matter to what is appended
Checked    at the end every message is there once, in both places
Needs      root and smtp-source (postfix)

    python -m benchmarks.endurance [--messages N] [--steps N] [--mbox-gb N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from benchmarks import lmtp

EARLIER = b"From earlier@example.net Mon Nov 23 10:00:00 2026\nSubject: earlier\n\n"
PIECE_BYTES = 1 << 20


def fill(mbox: Path, gigabytes: float, owner: int) -> None:
    """Make an mbox with one large message, most of which is a hole."""
    with mbox.open("wb") as file:
        file.write(EARLIER)
        file.truncate(int(gigabytes * (1 << 30)))
        file.seek(0, os.SEEK_END)
        file.write(b"\n\n")
    os.chown(mbox, owner, -1)
    mbox.chmod(0o600)


def messages_in(mbox: BinaryIO, start: int) -> int:
    """From_ lines from START on."""
    mbox.seek(start)
    count, before = 0, b"\n"
    while piece := mbox.read(PIECE_BYTES):
        count += (before + piece).count(b"\nFrom ")
        before = piece[-5:]
    return count


def descriptors(server: lmtp.Server) -> int:
    """Open descriptors of all processes."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.processes())


def main() -> None:
    parser = argparse.ArgumentParser(description="many deliveries: what grows, what stays flat")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--mbox-gb", type=float, default=0.0)
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix's smtp-source")
    top = Path(tempfile.mkdtemp(prefix="mdeliver-bench-"))
    top.chmod(0o755)
    server = lmtp.Mdeliver(top / "server", 3, True)
    mbox, start = server.home("user") / "mbox", 0
    try:
        if given.mbox_gb:
            fill(mbox, given.mbox_gb, server.owner.pw_uid)
            start = mbox.stat().st_size
        server.start()
        case = lmtp.Case("16 sessions, dual", 16, 1, True)
        each = given.messages // given.steps
        print(f"{'delivered':>10}{'per s':>8}{'CPU ms':>8}{'MB':>8}{'fds':>6}{'mbox MB':>10}")
        for step in range(1, given.steps + 1):
            cost = lmtp.load(server, case, each)
            print(
                f"{step * each:>10}{cost.rate:>8.0f}{cost.cpu_ms:>8.2f}{cost.memory_mb:>8.1f}"
                f"{descriptors(server):>6}{mbox.stat().st_size / (1 << 20):>10.0f}",
                flush=True,
            )
        with mbox.open("rb") as file:
            in_mbox = messages_in(file, start)
        in_maildir = sum(1 for _ in os.scandir(server.home("user") / "Maildir" / "new"))
        expected = given.steps * each
        verdict = "exact" if in_mbox == in_maildir == expected else "WRONG"
        print(f"Account {verdict}: {expected} brought, mbox {in_mbox}, Maildir {in_maildir}.")
    finally:
        server.stop()
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
