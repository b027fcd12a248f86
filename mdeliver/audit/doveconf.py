"""Dovecot's settings, as its own doveconf says them; nothing here reads its files.

Form        NAME = VALUE
            KIND NAME {
              ...
            }
Protocols   `protocol pop3 { ... }` overrides what is outside; doveconf is asked for each protocol
Versions    2.3 has mail_location, 2.4 mail_driver and mail_path; `location` says one thing of both
Fails with  DovecotError: one line, what doveconf says
See also    doveconf(1)
"""

from __future__ import annotations

import shutil
import subprocess

from mdeliver.outcome import one_line
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT_S = 60
_LINES = 100_000


class DovecotError(Exception):
    """One line for the administrator."""


class Section(Record):
    """A part of the settings.

    kind      "namespace", "service", …; "" for all of them
    name      its name, without quotes
    values    settings right in it
    sections  parts of it
    """

    kind: str
    name: str
    values: dict[str, str]
    sections: list[Section]

    def value(self, name: str) -> str:
        """A setting; "" where there is none."""
        return self.values.get(name, "")

    def all(self, kind: str) -> list[Section]:
        """Its parts of a kind."""
        return [section for section in self.sections if section.kind == kind]


def is_installed() -> bool:
    """Whether this host has Dovecot."""
    return shutil.which("doveconf", path="/usr/bin:/usr/local/bin:/bin") is not None


def ask(file: str, protocol: str) -> Section:
    """Every setting, with its default, as PROTOCOL ("imap", "pop3") has it. Raises DovecotError.

    file  the configuration; "" for Dovecot's own
    """
    where = ["-c", file] if file else []
    command = ["doveconf", *where, "-a", "-f", f"protocol={protocol}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_LIMIT_S, check=False)
    except (OSError, ValueError) as error:
        raise DovecotError(f"cannot run doveconf: {error}") from None
    except subprocess.TimeoutExpired:
        raise DovecotError(f"doveconf took longer than {_LIMIT_S} s") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise DovecotError(one_line(said or f"doveconf: exit status {done.returncode}"))
    return parsed(done.stdout.decode(errors="replace"))


def parsed(text: str) -> Section:
    """What doveconf printed; what it never prints is passed over."""
    whole = Section("", "", {}, [])
    open_ones = [whole]
    for line in text.splitlines()[:_LINES]:
        line = line.strip()
        name, equals, value = line.partition(" = ")
        if line == "}":
            if len(open_ones) > 1:
                open_ones.pop()
        elif line.endswith("{") and not equals:
            kind, _, rest = line.removesuffix("{").strip().partition(" ")
            section = Section(kind, rest.strip().strip('"'), {}, [])
            open_ones[-1].sections.append(section)
            open_ones.append(section)
        elif line.endswith(" ="):
            open_ones[-1].values[line.removesuffix(" =")] = ""
        elif equals and not line.startswith("#"):
            open_ones[-1].values[name] = value
    return whole


def location(settings: Section) -> str:
    """Where mail is, as 2.3 says it: `mbox:~/mail:INBOX=/var/mail/%u`."""
    if "mail_location" in settings.values:
        return settings.value("mail_location")
    inbox = settings.value("mail_inbox_path")
    place = f"{settings.value('mail_driver')}:{settings.value('mail_path')}"
    return f"{place}:INBOX={inbox}" if inbox else place


def locks(settings: Section, name: str) -> list[str]:
    """A list of locks, in their order; 2.4 has a section of them."""
    for section in settings.all(name):
        return [lock for lock, value in section.values.items() if value == "yes"]
    return settings.value(name).replace(",", " ").split()


def folders(settings: Section) -> Iterator[tuple[str, str]]:
    """Each folder with a special use: its name, and the uses ("\\Sent")."""
    for namespace in settings.all("namespace"):
        for mailbox in namespace.all("mailbox"):
            if use := mailbox.value("special_use"):
                yield mailbox.name, use
