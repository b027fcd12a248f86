"""Many deliveries to one server: does anything grow, does a message cost more than the first?

Load       Postfix's smtp-source, 16 sessions kept, 4 KB, in steps; dual delivery (mbox and Maildir)
Shown      for each step: deliveries a second, CPU of one, memory (Pss) and open descriptors of all
           processes; the mbox's size grows from step to step, and so does the Maildir
Beside     --mbox-gb N: a user whose mbox has N GB of earlier mail (one sparse message);
           --maildir N: one whose Maildir has N earlier messages (names of a few files), in new and
           cur. Each has a server of its own, and takes turns with a user who has nothing; neither
           size may matter to what comes
Flat       CPU of one, the last quarter of the steps x the first, and x the user who has nothing:
           at most 1.25; 1 is aimed at
Checked    at the end every message is there once, in both places
Needs      root and smtp-source (postfix)

    python -m benchmarks.endurance [--messages N] [--steps N] [--mbox-gb N] [--maildir N]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from benchmarks import lmtp
from benchmarks.ground import fresh_directory
from benchmarks.marks import Mark

EARLIER = b"From earlier@example.net Mon Nov 23 10:00:00 2026\nSubject: earlier\n\n"
PIECE_BYTES = 1 << 20
FLAT = Mark(1.25, 1)
NAMES_OF_ONE = 50_000
"""ext4 lets a file have 65 000 names."""


class Mailboxes:
    """A server of its own, and the mailboxes of its one user; earlier mail may be in them."""

    def __init__(self, name: str, top: Path, *, mbox_gb: float = 0, maildir: int = 0) -> None:
        self.name = name
        self.server = lmtp.Mdeliver(top, 3, True)
        self.mbox = self.server.home("user") / "mbox"
        self._maildir = self.server.home("user") / "Maildir"
        self._earlier = fill_maildir(self._maildir, maildir, self.server.owner.pw_uid)
        self._start = fill_mbox(self.mbox, mbox_gb, self.server.owner.pw_uid)
        self.costs: list[lmtp.Cost] = []

    def step(self, messages: int) -> None:
        """Bring so many, and print the line."""
        cost = lmtp.load(self.server, lmtp.Case("", 16, 1, True), messages)
        self.costs.append(cost)
        print(
            f"{self.name:16}{len(self.costs) * messages:>10}{cost.rate:>8.0f}{cost.cpu_ms:>8.2f}"
            f"{cost.memory_mb:>8.1f}{descriptors(self.server):>6}"
            f"{self.mbox.stat().st_size / (1 << 20):>10.0f}",
            flush=True,
        )

    def account(self, expected: int) -> str:
        """Whether every message is there."""
        with self.mbox.open("rb") as file:
            in_mbox = messages_in(file, self._start)
        in_maildir = sum(1 for _ in os.scandir(self._maildir / "new")) - self._earlier
        verdict = "exact" if in_mbox == in_maildir == expected else "WRONG"
        return f"Account {verdict}: {expected} brought, mbox {in_mbox}, Maildir {in_maildir}."

    def cpu_ms(self, of: slice) -> float:
        """The median of some of the steps."""
        return statistics.median(cost.cpu_ms for cost in self.costs[of])


def fill_mbox(mbox: Path, gigabytes: float, owner: int) -> int:
    """Make an mbox with one large message, most of which is a hole; its size."""
    if not gigabytes:
        return 0
    with mbox.open("wb") as file:
        file.write(EARLIER)
        file.truncate(int(gigabytes * (1 << 30)))
        file.seek(0, os.SEEK_END)
        file.write(b"\n\n")
    os.chown(mbox, owner, -1)
    mbox.chmod(0o600)
    return mbox.stat().st_size


def fill_maildir(maildir: Path, messages: int, owner: int) -> int:
    """Make a Maildir with so many messages, half of them seen; how many are in new."""
    if not messages:
        return 0
    for directory in (maildir, maildir / "tmp", maildir / "new", maildir / "cur"):
        directory.mkdir(mode=0o700)
        os.chown(directory, owner, -1)
    one = maildir
    for number in range(messages):
        name = f"17000{number:05}.M{number}P1.earlier"
        seen = number % 2
        made = maildir / (f"cur/{name}:2,S" if seen else f"new/{name}")
        if number % NAMES_OF_ONE == 0:
            made.write_bytes(b"Subject: earlier\n\nhello\n")
            os.chown(made, owner, -1)
            one = made
        else:
            made.hardlink_to(one)
    return messages - messages // 2


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


def run(all_mailboxes: Sequence[Mailboxes], steps: int, each: int) -> None:
    """Take turns, and tell how flat it was."""
    head = f"{'mailboxes':16}{'delivered':>10}{'per s':>8}{'CPU ms':>8}{'MB':>8}{'fds':>6}"
    print(f"{head}{'mbox MB':>10}")
    for _step in range(steps):
        for mailboxes in all_mailboxes:
            mailboxes.step(each)
    quarter = max(1, steps // 4)
    for mailboxes in all_mailboxes:
        print(f"{mailboxes.name}: {mailboxes.account(steps * each)}")
        later = mailboxes.cpu_ms(slice(-quarter, None)) / mailboxes.cpu_ms(slice(quarter))
        print(FLAT.words(f"{mailboxes.name}, CPU, last quarter x first", later))
    plain = all_mailboxes[0]
    for mailboxes in all_mailboxes[1:]:
        times = mailboxes.cpu_ms(slice(None)) / plain.cpu_ms(slice(None))
        print(FLAT.words(f"{mailboxes.name}, CPU x {plain.name}", times))


def main() -> None:
    parser = argparse.ArgumentParser(description="many deliveries: what grows, what stays flat")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--mbox-gb", type=float, default=0.0)
    parser.add_argument("--maildir", type=int, default=0)
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix's smtp-source")
    top = fresh_directory()
    top.chmod(0o755)
    try:
        with ExitStack() as to_end:
            made = [Mailboxes("empty", top / "empty")]
            if given.mbox_gb:
                name = f"mbox {given.mbox_gb:g} GB"
                made.append(Mailboxes(name, top / "mbox", mbox_gb=given.mbox_gb))
            if given.maildir:
                name = f"Maildir {given.maildir}"
                made.append(Mailboxes(name, top / "maildir", maildir=given.maildir))
            for mailboxes in made:
                mailboxes.server.start()
                to_end.callback(mailboxes.server.stop)
            run(made, given.steps, given.messages // given.steps // len(made))
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
