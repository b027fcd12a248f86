"""Every part of the suite, in the order of the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.calls import ALARMS, NFS, Calls
from tests.faults.powercut import PowerCut
from tests.faults.seam import KINDS, Kind
from tests.faults.subjects import SUBJECTS
from tests.faults.swapped import PLACES, Swapped
from tests.fuzz.targets import TARGETS
from tests.torture import crowd, oddities, server, soak
from tests.torture.filesystems import full, odd, quota, strange
from tests.torture.hostile import fuzzed
from tests.torture.outside import OUTSIDE, deed, outside
from tests.torture.stories import Opened, Part, Story

_QUOTA = ("direct", "direct-unended", "direct-fresh")
"""Subjects whose mail lies in HOME/mbox and HOME/Maildir."""

_DEEDS = tuple(name for name in SUBJECTS if not name.startswith("direct"))
"""Those that OUTSIDE does not have."""


def _calls(subject: str, kinds: tuple[Kind, ...]) -> Callable[[Path], Opened]:
    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        yield Calls(subject, top / "home", kinds)

    return opened


def _swapped(subject: str) -> Callable[[Path], Opened]:
    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        yield Swapped(subject, top / "home")

    return opened


def _power(subject: str) -> Callable[[Path], Opened]:
    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        yield PowerCut(subject, top / "home")

    return opened


PARTS: tuple[Part, ...] = (
    *[Part(f"calls inside: {name}", _calls(name, (*KINDS, *ALARMS))) for name in SUBJECTS],
    *[Part(f"calls inside, as on NFS: {name}", _calls(name, tuple(NFS))) for name in SUBJECTS],
    *[Part(f"swapped: {name}", _swapped(name)) for name in PLACES],
    *[Part(f"power cut: {name}", _power(name)) for name in SUBJECTS],
    *[
        Part(f"full, {what}: {kind}, {subject}", full(kind, what, subject))
        for kind in ("tmpfs", "ext4", "ext4 journal", "xfs", "btrfs")
        for what in ("octets", "names")
        if what == "octets" or kind not in ("xfs", "btrfs")
        for subject in ("direct-unended", "direct-fresh")
    ],
    *[Part(f"user quota: {subject}", quota(subject)) for subject in _QUOTA],
    *[Part(f"mount options: {kind}", odd(kind, "direct")) for kind in ("ext4", "xfs", "btrfs")],
    *[
        Part(f"{kind}: {subject}", strange(kind, subject))
        for kind in ("no O_TMPFILE", "case-insensitive")
        for subject in ("direct-unended", "direct-fresh")
    ],
    Part("Maildir++ quota", oddities.odd_host(oddities.Allowed)),
    Part("names of the host", oddities.odd_host(oddities.Names)),
    Part("clock that is set", oddities.odd_host(oddities.Clock)),
    Part("mbox of 4 GB", oddities.odd_host(oddities.Huge)),
    Part("crowd at one mailbox", crowd.opened),
    Part("load with kills", soak.opened),
    Part("calls outside: lmtp server", server.struck(server.Way)),
    Part("calls outside: launcher's door", server.struck(server.Door)),
    *[Part(f"calls outside: {name}", deed(name)) for name in _DEEDS],
    *[Part(f"calls outside: {name}", outside(name)) for name in OUTSIDE],
    *[Part(f"hostile input: {name}", fuzzed(name)) for name in TARGETS],
)
