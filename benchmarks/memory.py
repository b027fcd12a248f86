"""Memory of the LMTP server: 16 sessions at once, and each further user whose mail comes in.

Load       smtp-source: 16 sessions to one user; then messages with more and more recipients, each
           of whom has a process while mail keeps coming
Shown      proportional (Pss) of all processes of the server, and how much of the largest worker is
           its own; Dovecot's lmtp beside it, which has one process to a session
The marks  16 sessions in 40 MB, the aim 25; and 2 MB for each further active user
Needs      root and smtp-source (postfix)

    python -m benchmarks.memory [--users N,N] [--messages N]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from pathlib import Path

from benchmarks import lmtp
from benchmarks.ground import fresh_directory
from benchmarks.marks import Mark

USER_MB = Mark(2, 1.5)
_PRIVATE = re.compile(r"^Private_(?:Clean|Dirty):\s+(\d+)", re.MULTILINE)


def private_mb(server: lmtp.Server) -> float:
    """The median of what each worker shares with nobody."""
    found = []
    # The master is the first, the front the second.
    for pid in server.processes()[2:]:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found.append(sum(int(kilobytes) for kilobytes in _PRIVATE.findall(rollup)) / 1024)
    return sorted(found)[len(found) // 2] if found else 0.0


def steps(server: lmtp.Server, counts: list[int], messages: int) -> dict[int, float]:
    """Bring mail for each number of users; MB of the whole server after each."""
    found = {}
    for count in counts:
        sessions = lmtp.Case("", 16, count, server.dual)
        lmtp.load(server, sessions, max(16, messages // count))
        found[count] = server.memory_mb()
        print(
            f"{server.name:16}{count:>8}{len(server.processes()):>12}{found[count]:>10.1f}"
            f"{private_mb(server):>12.1f}",
            flush=True,
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="memory of LMTP servers by active users")
    parser.add_argument("--users", default="1,10,25,50", help="numbers of active users")
    parser.add_argument("--messages", type=int, default=2000, help="deliveries of each step")
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix's smtp-source")
    counts = [int(count) for count in given.users.split(",")]
    top = fresh_directory()
    top.chmod(0o755)
    kinds: list[type[lmtp.Server]] = [lmtp.Mdeliver]
    if lmtp.DOVECOT.exists() and Path("/usr/lib/dovecot/lmtp").exists():
        kinds.append(lmtp.Dovecot)
    print(f"{'server':16}{'users':>8}{'processes':>12}{'MB':>10}{'own MB':>12}")
    try:
        for kind in kinds:
            dual = kind is lmtp.Mdeliver
            server = kind(top / kind.name, 3, dual, max(counts))
            server.start()
            try:
                # Rules that were changed just now are not kept compiled.
                time.sleep(lmtp.SETTLED_S)
                found = steps(server, counts, given.messages)
            finally:
                server.stop()
            if kind is lmtp.Mdeliver:
                told = lmtp.MEMORY_MB.words("MB with 16 sessions", found[counts[0]])
                if len(counts) > 1:
                    more = (found[counts[-1]] - found[counts[0]]) / (counts[-1] - counts[0])
                    told += f"\n{USER_MB.words('MB for each further active user', more)}"
                print(told, flush=True)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
