"""Variables while a file is converted: known texts, references to what a message has, or neither.

A value may hold references (wording.REF); one that only a running procmail knows is an Unsaid,
which says why when somebody needs it. A variable that is set in a block and asked for behind it
is `wanted`: the file is converted once more, with a `let` for it.
"""

from __future__ import annotations

import os.path

from mdeliver.procmail import formail
from mdeliver.procmail.expand import Expander, Unknown
from mdeliver.procmail.syntax import Words
from mdeliver.procmail.wording import ANSWER, END, HEADER, REF, SHORT_YEAR, Unsayable, ref
from mdeliver.procmail.words import SPLIT, read_words
from mdeliver.procmail.world import needs_shell

_DATES = {"%Y": "year", "%y": SHORT_YEAR, "%m": "month", "%d": "day"}

_UNSAID = {
    "HOST": "the name of the host",
    "$": "the process id",
    "?": "the exit status of a program",
    "=": "the score of the last recipe",
    "-": "the last folder",
    "LASTFOLDER": "the last folder",
    "#": "the number of arguments",
    "@": "the arguments",
}


class Unsaid:
    """A value that has no words.

    variable  the variable for which a `let` would help, else ""
    command   the command that prints it, else ""
    """

    def __init__(self, why: str, variable: str = "", command: str = "") -> None:
        self.why = why
        self.variable = variable
        self.command = command


class OfProgram(Unsayable):
    """What a program prints, as a text; a condition can ask for it."""

    def __init__(self, command: str) -> None:
        super().__init__(f"the output of a program: `{command}`")
        self.command = command


def unsaid(name: str, where: str, error: Unsayable) -> Unsaid:
    """What stands for the variable NAME, which is set WHERE to something without words."""
    command = error.command if isinstance(error, OfProgram) else ""
    return Unsaid(f"${name} ({where}): {error}", command=command)


class Symbols:
    """The variables at one point of the file."""

    def __init__(self) -> None:
        self.values: dict[str, str | Unsaid] = {
            "HOME": ref("home"),
            # Postfix's mailbox_command says procmail -a "$EXTENSION".
            "1": ref("extension"),
            "LOGNAME": ref("user"),
            "USER": ref("user"),
            "MAILDIR": ref("home"),
            "DEFAULT": "/var/mail/" + ref("user"),
            "ORGMAIL": "/var/mail/" + ref("user"),
            "SENDMAIL": "/usr/sbin/sendmail",
            "SENDMAILFLAGS": "-oi",
            "LOCKEXT": ".lock",
            "SHELL": "/bin/sh",
            "MSGPREFIX": "msg.",
            "LINEBUF": "2048",
            "PROCMAIL_VERSION": "3.22",
        }
        self.wanted: set[str] = set()
        """Variables that a `let` would carry over."""

    def copy(self) -> Symbols:
        made = Symbols()
        made.values, made.wanted = dict(self.values), self.wanted
        return made

    def value(self, name: str) -> str | None:
        """Raises Unsayable."""
        if name in _UNSAID and not isinstance(self.values.get(name), str):
            raise Unsayable(f"{_UNSAID[name]} (${name}) within a rule")
        found = self.values.get(name)
        if isinstance(found, Unsaid):
            if found.variable:
                self.wanted.add(found.variable)
            raise Unsayable(found.why)
        return found

    def expander(self) -> Expander:
        return Expander(self.value, self.output)

    def text(self, words: Words) -> str:
        try:
            return self.expander().text(words)
        except Unknown as too_long:
            raise Unsayable(str(too_long)) from None

    def split(self, words: Words) -> list[str]:
        try:
            return self.expander().split(words)
        except Unknown as too_long:
            raise Unsayable(str(too_long)) from None

    def command(self, text: str) -> tuple[list[str], bool]:
        """The words of a command, and whether it needs a shell (then there is one, the command)."""
        text = text.strip()
        if needs_shell(text):
            return [text.replace("\\\n", "")], True
        argv = self.split(read_words(text, 0, SPLIT).words)
        if not argv[0]:
            raise Unsayable("a program without a name")
        return argv, False

    def output(self, command: str) -> str:
        """What a command in back quotes prints, as far as the rules have words for it."""
        argv, shell = self.command(command)
        name = os.path.basename(argv[0])
        if not shell and name == "formail":
            wanted = formail.read_arguments(argv[1:])
            if isinstance(wanted, formail.Extract) and len(wanted.names) == 1:
                return ref(HEADER + wanted.names[0].removesuffix(":"))
            if isinstance(wanted, formail.Answered):
                return ref(ANSWER if wanted.trusts else "sender")
        if not shell and name == "date" and len(argv) == 2 and argv[1].startswith("+"):
            return _date(argv[1][1:])
        if not shell and name == "echo":
            return " ".join(argv[1:])
        raise OfProgram(command)


def _date(form: str) -> str:
    made = ""
    at = 0
    while at < len(form):
        sign = form[at : at + 2]
        if form[at] != "%":
            made += form[at]
            at += 1
        elif sign in _DATES:
            made += ref(_DATES[sign])
            at += 2
        elif sign == "%F":
            made += "-".join([ref("year"), ref("month"), ref("day")])
            at += 2
        else:
            raise Unsayable(f"the date in the form {sign}")
    return made


def header_of(value: str) -> str:
    """The header that VALUE is the text of, "" where it is something else."""
    if value.startswith(REF + HEADER) and value.endswith(END) and value.count(REF) == 1:
        return value[len(REF + HEADER) : -1]
    return ""
