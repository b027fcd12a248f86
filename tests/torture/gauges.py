"""What servers take while they work, and how long a delivery lasts: first quarter and last.

Of processes   by role: resident memory and open descriptors of the largest one, how many there are
Of deliveries  from Postfix's log, by its client: how many a second, and how long Postfix waited for
               us (the last two of `delays=`: connection and transmission)
Judged         memory and descriptors; times are only shown: the machine does other things too
"""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

GROWN_KB = 6 * 1024
GROWN_FILES = 32
WARM_S = 20.0
"""From the beginning: processes that are new have yet to read what they keep."""

_SENT = re.compile(r"postfix/(\w+)\[.* delays=[\d.]+/[\d.]+/([\d.]+)/([\d.]+), .*status=(\w+)")
_RESIDENT = re.compile(r"^VmRSS:\s+(\d+)", re.MULTILINE)


class Size(NamedTuple):
    """What the processes of one role have at one time: the largest's, and how many there are."""

    memory_kb: int
    files: int
    processes: int


class Delivered(NamedTuple):
    """A line of the mail log: when we read it, which client of Postfix's, how long it took."""

    at_s: float
    client: str
    lasted_s: float


class Gauges:
    """Looks again and again, and tells in the end."""

    def __init__(
        self,
        roles: Callable[[], Mapping[str, Sequence[int]]],
        maillog: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """ROLES has the pids by role, now; MAILLOG is read from where it ends now; CLOCK in s."""
        self._roles = roles
        self._clock = clock
        self._maillog = maillog
        self._read = maillog.stat().st_size if maillog.exists() else 0
        self.bounced: list[str] = []
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._sizes: list[tuple[float, Mapping[str, Size]]] = []
        self._deliveries: list[Delivered] = []
        self._began_s = self._clock()

    def look(self) -> None:
        """Note how it is now, and what the log says since the last time."""
        now = self._clock()
        found = {role: size_of(pids) for role, pids in self._roles().items()}
        self._sizes.append((now, {role: size for role, size in found.items() if size is not None}))
        for line in self._new_lines():
            if seen := _SENT.search(line):
                client, connecting_s, sending_s, status = seen.groups()
                if status == "sent":
                    lasted_s = float(connecting_s) + float(sending_s)
                    self._deliveries.append(Delivered(now, client, lasted_s))
                elif status == "bounced":
                    self.bounced.append(line)

    def _new_lines(self) -> Iterable[str]:
        """Whole lines that have come since."""
        if not self._maillog.exists():
            return []
        with self._maillog.open("rb") as log:
            log.seek(self._read)
            octets = log.read()
        whole = octets[: octets.rfind(b"\n") + 1]
        self._read += len(whole)
        return whole.decode(errors="replace").splitlines()

    # --- the first quarter and the last ----------------------------------------------------------

    def _quarters(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """When each begins and ends; both are empty where there was no time to get warm."""
        ended_s = self._sizes[-1][0]
        began_s = self._began_s + WARM_S
        quarter_s = (ended_s - began_s) / 4
        return (began_s, began_s + quarter_s), (ended_s - quarter_s, ended_s)

    def sizes(self) -> dict[str, tuple[Size, Size]]:
        """By role the medians of the two; of roles that are in both."""
        first, last = (self._medians(between) for between in self._quarters())
        return {role: (first[role], last[role]) for role in first if role in last}

    def _medians(self, between: tuple[float, float]) -> dict[str, Size]:
        seen: dict[str, list[Size]] = {}
        for at_s, sizes in self._sizes:
            if between[0] <= at_s <= between[1]:
                for role, size in sizes.items():
                    seen.setdefault(role, []).append(size)
        return {
            role: Size(*(round(statistics.median(column)) for column in zip(*sizes, strict=True)))
            for role, sizes in seen.items()
        }

    def grown(self) -> list[str]:
        """What has grown, in words that begin so."""
        wrong = []
        for role, (first, last) in self.sizes().items():
            if last.memory_kb > first.memory_kb + GROWN_KB:
                wrong.append(f"grew: memory of {role}: {first.memory_kb} KB, then {last.memory_kb}")
            if last.files > first.files + GROWN_FILES:
                wrong.append(f"grew: descriptors of {role}: {first.files}, then {last.files}")
            if last.processes > first.processes + GROWN_FILES:
                wrong.append(f"grew: processes of {role}: {first.processes}, then {last.processes}")
        return wrong

    def table(self, name: str) -> str:
        """For people: the two quarters beside each other."""
        lasted_s = self._sizes[-1][0] - self._began_s
        head = f"{name}, {lasted_s:.0f} s, {len(self._deliveries)} deliveries"
        lines = [f"{head:46}{'first quarter':>24}{'last quarter':>24}"]
        for role, sizes in sorted(self.sizes().items()):
            words = [
                f"{s.memory_kb / 1024:.1f} MB {s.files:>4} fds {s.processes:>2} x" for s in sizes
            ]
            lines.append(f"  {role:44}{words[0]:>24}{words[1]:>24}")
        for client in sorted({one.client for one in self._deliveries}):
            words = [self._pace(client, between) for between in self._quarters()]
            lines.append(
                f"  by {client}(8), per s, median, 95 %, longest{'':4}{words[0]:>24}{words[1]:>24}"
            )
        return "\n".join(lines) + "\n"

    def _pace(self, client: str, between: tuple[float, float]) -> str:
        lasted = sorted(
            one.lasted_s
            for one in self._deliveries
            if one.client == client and between[0] <= one.at_s <= between[1]
        )
        if not lasted:
            return "none"
        rate = len(lasted) / (between[1] - between[0])
        points = [1000 * lasted[int(share * (len(lasted) - 1))] for share in (0.5, 0.95, 1)]
        return f"{rate:.0f}/s {points[0]:.0f} {points[1]:.0f} {points[2]:.0f} ms"


def size_of(pids: Sequence[int]) -> Size | None:
    """Of those of PIDS that live; None of none."""
    memory_kb, files, processes = 0, 0, 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            count = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
        # A process that has ended and was not waited for has no memory.
        if resident := _RESIDENT.search(status):
            processes += 1
            memory_kb = max(memory_kb, int(resident[1]))
            files = max(files, count)
    return Size(memory_kb, files, processes) if processes else None
