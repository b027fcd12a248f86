"""Commands of a procmailrc as programs with their arguments.

Without a shell  a program stays itself. One that gets only the head or the body has a wrapper
            around it, a text for sh(1) that is always the same: what the file says are its
            arguments, which no shell reads.
With one    (--allow-shell) the command as it stands, before it the variables that it names and,
            where it names a file, the directory in which procmail runs it. A text that a message
            brings in is the value of a variable that env(1) sets, and never a shell's to read.
Fails with  Unsayable
"""

from __future__ import annotations

import re
from shlex import quote as shell_quote

from mdeliver.procmail.linetext import line_expression
from mdeliver.procmail.wording import REF, Unsayable, quote, ref

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.symbols import Symbols

_GIVEN = {"head": "sed '/^$/q' | ", "body": "sed '1,/^$/d' | "}
"""Gives the part to the program behind it."""

# -u: nothing is read of what belongs to the next program.
_FILTERED = {
    "head": ("sed -u '/^$/q' | ", " && cat"),
    "body": ("sed -u '/^$/q'; ", ""),
}
"""Lets the program make another head, or another body, and the rest through."""

_VARIABLE = re.compile(r"\$\{?(\w+)")

_THERE = frozenset(("HOME", "LOGNAME", "USER", "PATH", "SHELL", "TZ", "LANG"))
"""What every program finds in its environment."""

_NAMES_FILE = re.compile(r"[<>] *[\w.]|\bcd +[\w.]|(?<=\s)[A-Za-z0-9_]\w*(?:[-\w]*/|\.[*\w])")
"""Something in a command that looks like a file which is not named from the root."""


class Commands:
    """Makes argument lists of commands, by the variables that hold where they stand.

    allow_shell  whether a shell may read them
    """

    def __init__(self, symbols: Symbols, allow_shell: bool) -> None:
        self.symbols = symbols
        self.allow_shell = allow_shell

    def program(self, command: str, part: str = "", *, filters: bool = False) -> list[str]:
        """COMMAND as a program; PART is "head", "body" or "" for the whole message.

        filters  whether what it prints takes the part's place
        """
        argv, shell = self.symbols.command(command)
        before, after = _FILTERED[part] if part and filters else (_GIVEN.get(part, ""), "")
        if shell:
            inner = f"({argv[0]})" if part else argv[0]
            return self.shell(f"{before}{inner}{after}", argv[0])
        if part:
            return ["sh", "-c", f'{before}"$@"{after}', "sh", *argv]
        return argv

    def shell(self, text: str, command: str) -> list[str]:
        """TEXT, which a shell reads; COMMAND is what of it the file says."""
        if not self.allow_shell:
            raise Unsayable("a program that needs a shell")
        before = ""
        directory = (self.symbols.value("MAILDIR") or ref("home")).rstrip("/")
        if _NAMES_FILE.search(command) and directory != ref("home"):
            before = f"cd {_in_shell(directory)} && "
        settings: list[str] = []
        for name in dict.fromkeys(_VARIABLE.findall(command)):
            value = None if name in _THERE or name.isdigit() else self.symbols.value(name)
            if value is None:
                continue
            if REF in value:
                settings.append(f"{name}={value}")
            else:
                before += f"{name}={shell_quote(value)}; "
        return [*(["env", *settings] if settings else []), "sh", "-c", before + text]

    def output_matches(self, command: str, expression: str, exactly: bool) -> list[str]:
        """A program that succeeds where EXPRESSION matches what COMMAND prints."""
        wanted = line_expression(expression)
        option = "-qE" if exactly else "-qiE"
        argv, shell = self.symbols.command(command)
        if shell:
            return self.shell(f"({argv[0]}) | grep {option} -e {shell_quote(wanted)}", argv[0])
        return ["sh", "-c", f'e=$1; shift; "$@" | grep {option} -e "$e"', "sh", wanted, *argv]


_ADDED = re.compile(r"^(?:cd (?:~|/)\S* && )?(?:\w+=(?:'[^']*'|[^'\s;]*); )*")


def bare_command(command: str) -> str:
    """COMMAND, a shell's, without the directory and the variables that may stand before it."""
    return _ADDED.sub("", command, count=1)


def unwrapped(argv: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """The program that ARGV runs, and which part of the message it gets: "head", "body" or ""."""
    while argv[0] == "env" or "=" in argv[0]:
        argv = argv[1:]
    if argv[:2] != ("sh", "-c") or len(argv) < 3:
        return argv, ""
    for part, before in _GIVEN.items():
        if argv[2] == f'{before}"$@"':
            return argv[4:], part
        command = bare_command(argv[2])
        if command.startswith(f"{before}(") and command.endswith(")"):
            return ("sh", "-c", command[len(before) + 1 : -1]), part
    return argv, ""


def program_words(argv: list[str]) -> str:
    """ARGV as rules write it: the program itself without braces."""
    program = from_home(argv[0])
    if REF in program:
        raise Unsayable("a program whose name is not fixed")
    return " ".join([quote(word) for word in (program, *argv[1:])])


def from_home(path: str) -> str:
    """PATH with `~/` where the home directory is named."""
    home = ref("home") + "/"
    return "~/" + path[len(home) :] if path.startswith(home) else path


def _in_shell(path: str) -> str:
    """PATH as a shell reads it. Raises Unsayable where a message has a part in it."""
    home = ref("home") + "/"
    below = path.removeprefix(home)
    if REF in below:
        raise Unsayable("a directory for a shell's command that is not fixed")
    return f"~/{shell_quote(below)}" if path.startswith(home) else shell_quote(below)
