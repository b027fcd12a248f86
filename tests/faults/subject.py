"""What is put through faults: a home, a deed that is struck, and what must be true after it.

A new one is a class with `prepare`, `act` and `wrong`, and a line in subjects.py; every way of
striking (calls.py, powercut.py, and the file systems of tests/torture) takes it from there.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Bounced(Exception):
    """A message was given back to its sender, though no rule says so."""


class Subject:
    """One home and one deed."""

    zeros = True
    """Whether, of disks that keep the size of a file and lose its octets, anything is promised."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.say: Callable[[str], object] = lambda _name: None
        """Told, by `act`, of each thing at the moment when it is said to be done."""

    def prepare(self) -> None:
        """Make the home."""
        raise NotImplementedError

    def act(self, attempt: int) -> None:
        """Do the deed; attempt 0 is struck, later ones are what Postfix, cron or a user does then.

        Raises OSError or Deferral where it is not done.
        """
        raise NotImplementedError

    def lacking(self, promised: frozenset[str]) -> list[str]:
        """What is wrong of what was PROMISED, with nothing done since."""
        return []

    def wrong(self) -> list[str]:
        """What is wrong after an act that nothing has disturbed: lost, doubled, torn, litter."""
        raise NotImplementedError

    def write(self, name: str, octets: bytes) -> None:
        """A file in the home, and the directories above it."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(octets)
        path.chmod(0o600)


_OWN_LOCKS = ("pop-sync.lock",)


def litter_in(home: Path) -> list[str]:
    """Files that no clean run leaves."""
    return [
        f"litter: {path.relative_to(home)}"
        for path in sorted(home.rglob("*"))
        if path.is_file()
        # Checked rules are kept there; the next delivery that keeps them replaces it.
        and ".cache" not in path.parts
        and path.name not in _OWN_LOCKS
        and (
            path.name.endswith((".lock", ".new", "-journal"))
            or path.name.startswith(".spool")
            or ".lock." in path.name
            or path.parent.name in ("tmp", "filtered")
        )
    ]


def unlike(there: dict[str, bytes], wanted: dict[str, bytes]) -> list[str]:
    """In which files THERE differs from WANTED; octets by name in both."""
    wrong = []
    for name in sorted(there.keys() | wanted.keys()):
        if name not in there:
            wrong.append(f"lost: {name}")
        elif name not in wanted:
            wrong.append(f"doubled: {name}")
        elif there[name] != wanted[name]:
            wrong.append(f"torn: {name}: {there[name][:80]!r}")
    return wrong
