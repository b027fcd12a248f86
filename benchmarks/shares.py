"""Where a delivery's time goes: the disk, Python, the kernel; so that the next gain is known.

Load      smtp-source over LMTP, 4 KB, 3 rules, an mbox and a Maildir; with few sessions and many
Worker    its rounds, from the first message of each to the last account: disk is the time in fsync
          and fdatasync, and in beginning to write; Python is user time; kernel is system time but
          for what the disk's takes; the rest is waiting for others: the processor, locks, the disk
Front     user and system time for each delivery
Measured  by the server itself, whose sync calls and rounds are wrapped; it runs from this directory
Needs     root and smtp-source (postfix)

    python -m benchmarks.shares [--messages N] [--sessions N,N]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from benchmarks import lmtp
from benchmarks.ground import fresh_directory

PARTS = ("disk", "Python", "kernel", "rest")
_SAYS = "shares: "


class Observed(lmtp.Mdeliver):
    """The server, which tells at its end what its workers spent."""

    def command(self) -> list[str]:
        _program, *arguments = super().command()
        return [sys.executable, "-m", "benchmarks.shares", "--serve", *arguments]

    def spent(self) -> dict[str, float]:
        """Seconds by part, of all workers that have ended."""
        spent: dict[str, float] = defaultdict(float)
        for line in (self.top / "output").read_text().splitlines():
            if line.startswith(_SAYS):
                for part, seconds in json.loads(line.removeprefix(_SAYS)).items():
                    spent[part] += seconds
        return spent


def serve(arguments: list[str]) -> None:
    """Be the server, and let workers measure themselves."""
    from mdeliver import __main__, system
    from mdeliver.lmtp.worker import Worker

    spent: dict[str, float] = defaultdict(float)
    go_round, run = Worker._go_round, Worker.run

    def timed(to_disk: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: int) -> None:
            began_s, worked_s = time.perf_counter(), time.thread_time()
            try:
                to_disk(*arguments)
            finally:
                spent["disk"] += time.perf_counter() - began_s
                spent["of it CPU"] += time.thread_time() - worked_s

        return call

    def go_timed(self: Worker) -> None:
        began_s, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        go_round(self)
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent["all"] += time.perf_counter() - began_s
        spent["Python"] += after.ru_utime - before.ru_utime
        spent["kernel"] += after.ru_stime - before.ru_stime

    def run_and_tell(self: Worker) -> None:
        run(self)
        os.write(2, f"{_SAYS}{json.dumps(spent)}\n".encode())

    system.fsync, system.fdatasync = timed(system.fsync), timed(system.fdatasync)
    system.posix_fadvise = timed(system.posix_fadvise)
    for name, method in {"_go_round": go_timed, "run": run_and_tell}.items():
        setattr(Worker, name, method)
    sys.argv = ["mdeliver", *arguments]
    __main__.main()


def measure(sessions: int, messages: int, top: Path) -> None:
    """Print the line of so many SESSIONS."""
    server = Observed(top / str(sessions), 3, True)
    case = lmtp.Case("", sessions, 1, True)
    server.start()
    try:
        # Rules that were changed just now are not kept compiled.
        time.sleep(lmtp.SETTLED_S)
        cost = lmtp.load(server, case, messages)
        front_s = lmtp.cpu_s(server.processes()[1])
    finally:
        server.stop()
    spent = server.spent()
    spent["kernel"] -= spent["of it CPU"]
    spent["rest"] = spent["all"] - sum(spent[part] for part in PARTS[:3])
    line = f"{sessions:>8}{cost.rate:>8.0f}{1000 * spent['all'] / messages:>12.2f}"
    for part in PARTS:
        line += f"{100 * spent[part] / spent['all']:>8.0f} %"
    print(f"{line}{1000 * front_s / messages:>12.2f}", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description="where the time of a delivery goes")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--sessions", default="1,4,16", help="numbers of sessions")
    given = parser.parse_args()
    if os.geteuid() != 0 or shutil.which("smtp-source") is None:
        sys.exit("needs root and Postfix's smtp-source")
    top = fresh_directory()
    top.chmod(0o755)
    heads = "".join(f"{part:>10}" for part in PARTS)
    print(f"{'sessions':>8}{'per s':>8}{'worker ms':>12}{heads}{'front ms':>12}")
    try:
        for sessions in given.sessions.split(","):
            measure(int(sessions), given.messages, top)
    finally:
        shutil.rmtree(top, ignore_errors=True)


if __name__ == "__main__":
    main()
