"""What procmail does with a message: where it goes, with which octets, and what nobody can know.

See also    machine.py, which finds it out
"""

from __future__ import annotations

from mdeliver.procmail.mail import Mail, quoted, skip_from_line, with_last_newline
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Kind = Literal["maildir", "mbox", "directory", "mh", "pipe", "forward", "nowhere"]


class Delivery(Record):
    """One thing that is done with the message.

    kind    "nowhere" is /dev/null
    path    of a folder, absolute; "" for programs and addresses
    argv    of a program, or the addresses (and options) of a forward
    shell   whether a shell gets argv[0]
    mail    the message as it is then
    begin   what of it: the octets from `begin`
    end     to `end`
    raw     whether nothing is added at its end
    rule    FILE:LINE of the recipe, "" for the end of the file
    link_of the kind of the folder that this is a further link from, "" if it is none
    """

    kind: Kind
    path: str
    argv: tuple[str, ...]
    shell: bool
    mail: Mail
    begin: int
    end: int
    raw: bool
    rule: str
    link_of: Kind | Literal[""] = ""

    @property
    def part(self) -> bytes:
        """The octets that are delivered."""
        return self.mail.octets[self.begin : self.end]

    def stored(self) -> bytes:
        """What the file or the program gets, octet for octet."""
        part = self.part
        written_as = self.link_of or self.kind
        if written_as in ("maildir", "forward") and self.begin == 0:
            part = skip_from_line(part)
        elif written_as == "mbox" and not self.raw:
            part = quoted(self.mail, part, self.begin)
        return with_last_newline(part, self.raw or written_as == "maildir")


class Step(Record):
    """One line of the explanation: what stands at `where`, and what came of it."""

    where: str
    words: str
    result: str


class Fate(Record):
    """All that becomes of one message.

    status   procmail's exit status
    unknown  why not all of it is known, "" if it is: then a program would have had to be run
    assumed  programs whose success was taken for granted
    """

    deliveries: tuple[Delivery, ...]
    status: int
    unknown: str
    assumed: tuple[str, ...]
    steps: tuple[Step, ...]
