"""One setting of Postfix as it is, as it should be, and why; and what was wished for.

See also  settings.py, which has all of them
"""

from __future__ import annotations

from functools import cached_property

from mdeliver.postfix.changes import Change, configuration_directory
from mdeliver.postfix.configuration import Postfix, Service
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, TypeAlias

    State: TypeAlias = Literal["set", "lacking", "trial", "later", "kept", "missing"]

STATES = {
    "set": "is set",
    "lacking": "is not set yet",
    "trial": "warns, and refuses nothing; --enforce makes it refuse",
    "later": "cannot be tried; it is set without --try",
    "kept": "was set otherwise by the administrator, and stays",
    "missing": "cannot be set by this command",
}
"""What a state means."""


class Step(Record):
    """One setting.

    part   which part of the settings it belongs to, of settings.PARTS
    what   the setting or the check, as Postfix writes it
    why    what it is good for, one sentence
    state  see STATES
    note   what there is to say of this host; ""
    """

    part: str
    what: str
    why: str
    state: State
    note: str = ""


class Proposal(Record):
    """What a part of the settings comes to: its steps, and the changes that make them."""

    steps: Sequence[Step]
    changes: Sequence[Change]


class Wish(Record):
    """What the administrator asked for.

    trying       checks that are added only warn
    enforce      checks that only warn refuse from now on
    greeting     "sleep" or "postscreen"; "" for what is there, else "sleep"
    deliver      "command" or "lmtp"; "" for what is there, else "command"
    launcher     path of mdeliver-lda
    certificate  files with key and certificates, comma separated; "" for what is set
    names        further names of this host
    """

    trying: bool = False
    enforce: bool = False
    greeting: str = ""
    deliver: str = ""
    launcher: str = "/opt/mdeliver/bin/mdeliver-lda"
    certificate: str = ""
    names: tuple[str, ...] = ()


class Box:
    """Postfix's settings on this host, each read once.

    Fails with PostfixError where Postfix cannot be asked.
    """

    def __init__(self, postfix: Postfix) -> None:
        self.postfix = postfix

    @cached_property
    def directory(self) -> str:
        """Where main.cf is."""
        return configuration_directory(self.postfix)

    @cached_property
    def services(self) -> list[Service]:
        """The lines of master.cf."""
        return self.postfix.services()

    @cached_property
    def _written(self) -> dict[str, str]:
        return _settings(self.postfix.run("postconf", "-n"))

    @cached_property
    def _raw(self) -> dict[str, str]:
        return _settings(self.postfix.run("postconf")) | self._written

    @cached_property
    def _values(self) -> dict[str, str]:
        known = _settings(self.postfix.run("postconf", "-x"))
        return known | _settings(self.postfix.run("postconf", "-nx"))

    @property
    def names_written(self) -> list[str]:
        """The settings of which main.cf says something."""
        return list(self._written)

    def is_written(self, name: str) -> bool:
        """Whether main.cf says anything of a setting."""
        return name in self._written

    def raw(self, name: str) -> str:
        """A setting as it is written, with its `$names`; or its default."""
        return self._raw.get(name, "")

    def value(self, name: str) -> str:
        """A setting with `$names` filled in."""
        return self._values.get(name, "")

    def value_for(self, service: Service, name: str) -> str:
        """A setting as SERVICE has it: its own, else main.cf's."""
        return service.settings.get(name, self.value(name))

    def chroot(self, service: str) -> str:
        """Whether SERVICE ("smtp/inet") runs in a chroot: "y", "n" or "-"; "n" if there is none."""
        return next((s.chroot for s in self.services if s.name == service), "n")


def _settings(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            found[name.strip()] = value.strip()
    return found


def simple(box: Box, part: str, name: str, value: str, why: str) -> Proposal:
    """A setting in main.cf that gets VALUE unless the administrator has set it."""
    if box.value(name) == value:
        return Proposal([Step(part, f"{name} = {value}", why, "set")], [])
    if box.is_written(name):
        note = f"{name} = {box.raw(name)}"
        return Proposal([Step(part, f"{name} = {value}", why, "kept", note)], [])
    return Proposal([Step(part, f"{name} = {value}", why, "lacking")], [Change("-e", name, value)])
