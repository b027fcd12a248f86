"""Full and odd file systems, real ones: every size from full up to enough, step by step.

Each case   the home is prepared, then the room is taken away; the first attempt is done, or put off
            and nothing is left half; then there is room, and the retry; then the account.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults import account
from tests.faults.calls import NFS, Calls
from tests.faults.seam import DONE, FAILED, Kind, disturbed
from tests.faults.subject import Subject
from tests.faults.subjects import SUBJECTS
from tests.mboxreader import Torn
from tests.torture.mounts import Ballast, limit, mounted, set_options, with_quota
from tests.torture.stories import Opened, Story

_MOST_STEPS = 400


class Tight:
    """A file system that is nearly full; cases are numbers of steps that are left free."""

    def __init__(
        self,
        at: Path,
        subject: str,
        take: Callable[[Path, int], None],
        give: Callable[[], None],
        steps: int,
    ) -> None:
        self._home = at / "home"
        self._subject = SUBJECTS[subject]
        self._take, self._give = take, give
        self.cases: Sequence[str] = [f"{step} left" for step in range(steps)]

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        self._give()
        empty(self._home)
        subject = self._subject(self._home)
        subject.prepare()
        self._take(self._home, int(case.split()[0]))
        return attempts(subject, self._give, done_at_once=case == self.cases[-1])


def attempts(
    subject: Subject, give: Callable[[], None], *, done_at_once: bool = False
) -> list[str]:
    """Try; where it was put off see that nothing is half, GIVE what was missing, and try again."""
    before = mbox_of(subject.home), account.in_maildir(subject.home / "Maildir")
    status, _ = disturbed(lambda: subject.act(0))
    if status == FAILED:
        wrong = halves(*before, subject.home)
        if done_at_once:
            wrong.append("stuck: put off, though there is room")
        give()
        status, _ = disturbed(lambda: subject.act(1))
    else:
        wrong = []
        give()
    if status != DONE:
        return [*wrong, f"{'stuck' if status == FAILED else 'bounced'}: ended with {status}"]
    return wrong + subject.wrong()


def mbox_of(home: Path) -> bytes:
    """The octets of the mbox."""
    path = home / "mbox"
    return path.read_bytes() if path.exists() else b""


def halves(mbox_before: bytes, mail_before: list[bytes], home: Path) -> list[str]:
    """What is wrong in HOME after an attempt that was put off.

    Whole copies may stay where even taking one back needs room that is not there (Btrfs copies what
    it cuts off): then the journal's line is open, and the retry completes them.
    """
    wrong = []
    if not mbox_of(home).startswith(mbox_before):
        wrong.append("lost mbox: put off, and what was there is not")
    if mbox_of(home) != mbox_before:
        try:
            account.in_mbox(home / "mbox", "mboxrd")
        except Torn as torn:
            wrong.append(f"torn mbox: put off, and it {torn}")
    now = account.in_maildir(home / "Maildir")
    if any(message not in now for message in mail_before):
        wrong.append("lost Maildir: put off, and what was there is not")
    return wrong


def empty(home: Path) -> None:
    """HOME without anything in it."""
    home.mkdir(parents=True, exist_ok=True)
    for path in home.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def full(kind: str, what: str, subject: str) -> Callable[[Path], Opened]:
    """A file system of KIND without WHAT: octets or names."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        with mounted(kind, top, "size=1m,nr_inodes=200" if kind == "tmpfs" else "") as at:
            ballast = Ballast(at)

            def take(_home: Path, steps: int) -> None:
                if what == "names":
                    ballast.leave_names(steps)
                else:
                    ballast.leave_octets(steps * 4096)

            steps = _needed(at, SUBJECTS[subject], what)
            yield Tight(at, subject, take, ballast.throw_off, steps)

    return opened


def _needed(at: Path, subject: type[Subject], what: str) -> int:
    """So many steps of room that the deed is done at once with the last."""
    trial = subject(at / "home")
    empty(trial.home)
    trial.prepare()
    os.sync()
    before = os.statvfs(at)
    assert disturbed(lambda: trial.act(0))[0] == DONE
    os.sync()
    after = os.statvfs(at)
    if what == "names":
        return before.f_ffree - after.f_ffree + 8
    # Some take room for a while only: a spooled message, a nameless lock. Btrfs and XFS take more.
    slack = 24 if after.f_blocks * after.f_frsize < 64 << 20 else 160
    return min(_MOST_STEPS, (before.f_bfree - after.f_bfree) * after.f_frsize // 4096 + slack)


def quota(subject: str) -> Callable[[Path], Opened]:
    """A user's quota, as Btrfs has it: writes say EDQUOT."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        with mounted("btrfs", top) as at:
            limited = with_quota(at)

            def take(home: Path, steps: int) -> None:
                os.sync()
                # The metadata of a home alone are 16 KB; below that nothing can be removed either.
                limit(limited, 16384 * 4 + steps * 4096)

            yield Tight(limited, subject, take, lambda: limit(limited, 0), 40)

    return opened


class Odd:
    """File systems that are odd at the first attempt, or for good."""

    def __init__(self, at: Path, subject: str, cases: dict[str, tuple[str, str]]) -> None:
        self._at = at
        self._subject = SUBJECTS[subject]
        self._options = cases
        self.cases: Sequence[str] = list(cases)

    def suffer(self, case: str) -> list[str]:
        """See Story."""
        first, then = self._options[case]
        set_options(self._at, then or "rw")
        empty(self._at / "home")
        subject = self._subject(self._at / "home")
        subject.prepare()
        if first:
            set_options(self._at, first)
        return attempts(subject, lambda: set_options(self._at, then or "rw"))


def odd(kind: str, subject: str) -> Callable[[Path], Opened]:
    """Read-only for a while, noexec, and all that a mount can say."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        cases = {
            "read-only at first": ("ro", "rw"),
            "noexec": ("", "rw,noexec"),
            "nosuid, nodev, noatime": ("", "rw,nosuid,nodev,noatime"),
            "sync": ("", "rw,sync"),
        }
        with mounted(kind, top) as at:
            yield Odd(at, subject, cases)

    return opened


class Plain:
    """A file system of another kind, and nothing more; killed and failing at each call there."""

    def __init__(self, at: Path, subject: str) -> None:
        kinds: tuple[Kind, ...] = ("kill before", "kill after", "EIO", *NFS)
        self._calls = Calls(subject, at / "home", kinds)
        self.cases: Sequence[str] = self._calls.cases

    def suffer(self, case: str) -> list[str]:
        """See Story.

        What has to have a name for a moment keeps it if the kill falls into that moment.
        """
        wrong = self._calls.suffer(case)
        if "kill" not in case:
            return wrong
        named = ("litter: .spool.", "litter: mbox.lock.")
        return [word for word in wrong if not word.startswith(named)]


def strange(kind: str, subject: str) -> Callable[[Path], Opened]:
    """Every call on a file system of KIND, which lacks something that others have."""

    @contextmanager
    def opened(top: Path) -> Iterator[Story]:
        with mounted(kind, top) as at:
            yield Plain(at, subject)

    return opened
