"""Assignments of a procmailrc: most are used up by the converter, some become rules.

Used up     MAILDIR, DEFAULT, ORGMAIL and whatever recipes are made of
Not needed  logging, locks, the shell: what mdeliver has its own of
Rules       LOG (`log`), EXITCODE with HOST or a delivery (`reject`, `defer`), INCLUDERC (its rules
            stand in its place), and variables that one block sets and another reads (`let`)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mdeliver.language.hints import FIELDS
from mdeliver.language.parse_values import RESERVED
from mdeliver.procmail.convertactions import absolute
from mdeliver.procmail.formail import NUMBER
from mdeliver.procmail.parser import parse_procmailrc
from mdeliver.procmail.rules import Line
from mdeliver.procmail.symbols import Unsaid, unsaid
from mdeliver.procmail.syntax import Assignment, Pipe, Recipe
from mdeliver.procmail.wording import REF, Unsayable, quote, readable, ref, shown
from mdeliver.programs import PATH

if TYPE_CHECKING:
    from mdeliver.procmail.converter import Converter
    from mdeliver.procmail.level import Level
    from mdeliver.procmail.rules import Node

NOT_NEEDED = frozenset(
    """SHELL SHELLFLAGS SHELLMETAS PATH LOGFILE LOGABSTRACT VERBOSE COMSAT LOCKFILE LOCKEXT
    LOCKSLEEP LOCKTIMEOUT TIMEOUT NORESRETRY SUSPEND UMASK LINEBUF MSGPREFIX DROPPRIVS
    SENDMAIL SENDMAILFLAGS
    PROCMAIL_OVERFLOW TZ LANG LC_ALL NL WS""".split()
)

_STATUSES = {67: (1, 1), 77: (7, 1)}
"""Of exit statuses of sysexits.h: what follows the 5 in the enhanced status (RFC 3463)."""
_INCLUDES = 30
_LONGEST = 1 << 16
"""Characters of a variable's value; procmail cuts it at LINEBUF, 2048 unless set."""
_HOST = re.compile(r"[A-Za-z0-9][-A-Za-z0-9.]*")


class Assignments:
    """Converts the assignments of one file; `not_needed` are the names that were left out."""

    def __init__(self, converter: Converter) -> None:
        self.converter = converter
        self.symbols = converter.symbols
        self.not_needed: list[str] = []

    def first_lets(self, level: Level) -> None:
        """A `let` for every variable that is carried over: no line may find it unset."""
        for name in sorted(self.converter.lets):
            level.nodes.append(Line(f'let {let_name(name)} = ""'))
            if name != "MATCH":
                self.symbols.values[name] = self.let_value(name)

    def let_value(self, name: str) -> str:
        """What stands for the variable NAME, which a `let` holds: a Maildir keeps its slash."""
        slash = "/" if self.holds_maildirs(name) else ""
        return ref(let_name(name)) + slash

    def holds_maildirs(self, name: str) -> bool:
        values = self.converter.lets[name]
        return bool(values) and all(value.endswith("/") for value in values)

    def one(self, item: Assignment, level: Level) -> None:
        name = item.name
        try:
            value = self.symbols.text(item.value) if item.value is not None else None
            if value is not None and len(value) > _LONGEST:
                raise Unsayable("a text that is too long")
        except Unsayable as error:
            value = None
            if name not in NOT_NEEDED:
                self.symbols.values[name] = unsaid(name, item.span.where, error)
                self.unsaid(item, level, str(error))
                return
        if value is None and name not in NOT_NEEDED:
            self.symbols.values.pop(name, None)
        elif value is not None:
            self.symbols.values[name] = value
        try:
            self.magic(item, name, value, level)
        except Unsayable as error:
            self.lost(item, level, str(error), "write the value out")

    def unsaid(self, item: Assignment, level: Level, why: str) -> None:
        """An assignment whose value has no words matters only if somebody uses it."""
        if item.name in ("INCLUDERC", "SWITCHRC", "DEFAULT", "MAILDIR", "EXITCODE", "TRAP"):
            self.lost(item, level, why, "write the value out")

    def lost(self, item: Assignment, level: Level, why: str, todo: str) -> None:
        source = " ".join(item.source.split())
        self.converter.note("lost", item, source, why, todo)
        level.comments.append(f" NOT CARRIED OVER: {why}: {source}")

    def magic(self, item: Assignment, name: str, value: str | None, level: Level) -> None:
        if name == "MAILDIR":
            self.symbols.values[name] = absolute(value or ref("home"), ref("home"))
        elif name == "DEFAULT" and value:
            self.default(item, value, level)
        elif name in ("INCLUDERC", "SWITCHRC"):
            self.include(item, value or "", level)
        elif name == "LOG" and value and value.strip():
            self.log(value, level)
        elif name == "TRAP" and value:
            self.lost(item, level, "a program at the end of each delivery", "use run in a rule")
        elif name == "HOST" and not self.exitcode() and _HOST.fullmatch(value or ""):
            self.lost(item, level, "rules for one host only", "leave out what other hosts do")
        elif name == "HOST":
            level.nodes.append(self.ended_by_host())
        elif name in NOT_NEEDED:
            self.not_needed.append(name)
            self.programs_elsewhere(item, value or "")
        elif value is not None:
            self.converter.assigned.setdefault(name, set()).add(value)
            if name in self.converter.lets:
                held = value.rstrip("/") if self.holds_maildirs(name) else value
                level.nodes.append(Line(f"let {let_name(name)} = {quote(held)}"))
                self.symbols.values[name] = self.let_value(name)

    def programs_elsewhere(self, item: Assignment, value: str) -> None:
        """A PATH with directories that mdeliver does not look into."""
        known = PATH.split(":")
        others = [path for path in value.split(":") if path and path.rstrip("/") not in known]
        if item.name == "PATH" and others:
            where = ", ".join([shown(path) for path in others])
            self.converter.note(
                "differs",
                item,
                "PATH",
                f"no programs are looked for in {where}",
                "write those with their whole path",
            )

    def default(self, item: Assignment, value: str, level: Level) -> None:
        path = absolute(value, self.symbols.value("MAILDIR") or ref("home"))
        if value == "/dev/null" or value.startswith("|"):
            self.lost(item, level, "a DEFAULT that is no mailbox", "end the rules with discard")
        elif self.converter.mailboxes.inbox is None:
            self.converter.mailboxes.set_default(path)
        elif path.rstrip("/") != self.converter.mailboxes.default:
            self.lost(item, level, "another DEFAULT further down", "name the folder in a last rule")

    def log(self, value: str, level: Level) -> None:
        try:
            text = quote(" ".join(value.split()))
        except Unsayable:
            return
        level.nodes.append(Line(f"log {text}", comments=level.comments))
        level.comments = []

    # --- included files

    def include(self, item: Assignment, value: str, level: Level) -> None:
        converter = self.converter
        switches = item.name == "SWITCHRC"
        if value in ("", "/dev/null"):
            level.closed = switches
            return
        path = absolute(value, self.symbols.value("MAILDIR") or ref("home"))
        home = ref("home") + "/"
        name = "~/" + path[len(home) :] if path.startswith(home) else path
        if REF in name:
            self.lost(item, level, f"the name of {shown(name)} is not fixed", "include each")
            return
        text = converter.read_file(readable(name))
        if text is None:
            self.lost(item, level, f"{name} cannot be read", "convert it as well")
            return
        if name in converter.including or len(converter.including) > _INCLUDES:
            self.lost(item, level, "a file that includes itself", "")
            return
        converter.including.append(name)
        file = parse_procmailrc(text, readable(name))
        converter.findings += file.findings
        level.comments.append(f" From {name}:")
        converter.items(file.items, level)
        converter.including.pop()
        level.closed = switches

    # --- how procmail ends

    def exitcode(self) -> int:
        value = self.symbols.values.get("EXITCODE")
        return int(value) if isinstance(value, str) and NUMBER.fullmatch(value) else 0

    def at_the_end(self) -> list[Node]:
        """What EXITCODE makes of what no rule took."""
        code = self.exitcode()
        return [Line("also keep"), Line(ending(code), True)] if code and code != 75 else []

    def ended_by_host(self) -> Line:
        """HOST makes procmail stop at once; EXITCODE says with which status."""
        code = self.exitcode()
        return Line(ending(code) if code else "discard", True)

    def with_exitcode(self, nodes: list[Node]) -> list[Node]:
        """What EXITCODE makes of a delivery: it is done, and the sender is told otherwise."""
        code = self.exitcode()
        if not code or not nodes or not isinstance(nodes[-1], Line) or not nodes[-1].ends:
            return nodes
        last = nodes[-1]
        delivered = [] if last.text == "discard" else [Line(f"also {last.text}")]
        if ending(code).startswith("defer"):
            delivered = []
        return [*nodes[:-1], *delivered, Line(ending(code), True)]

    # --- blocks

    def leave_block(self, before: dict[str, str | Unsaid], recipe: Recipe) -> None:
        """Variables that were set in a block that may not have run."""
        values = self.symbols.values
        for name in set(values) | set(before):
            if values.get(name) == before.get(name) or name in self.converter.lets:
                continue
            if name in NOT_NEEDED or name in ("EXITCODE", "MATCH"):
                values[name] = before.get(name, "")
                continue
            why = f"${name} is set in a block in {recipe.span.where} and used behind it"
            values[name] = Unsaid(why, "" if name in ("MAILDIR", "DEFAULT") else name)

    def capture(self, recipe: Recipe, action: Pipe) -> None:
        """`NAME=| program`: the program's output in a variable."""
        try:
            self.symbols.values[action.capture] = self.symbols.output(action.command)
        except Unsayable as error:
            held = unsaid(action.capture, recipe.span.where, error)
            self.symbols.values[action.capture] = held


def let_name(variable: str) -> str:
    """The name of a variable as a `let` has it."""
    name = variable.lower().strip("_") or "value"
    if name in RESERVED or name in FIELDS or name in ("user", "home", "year", "month", "day"):
        name += "_value"
    return name


def ending(code: int) -> str:
    """How procmail's exit status CODE is said."""
    if code == 75:
        return "defer"
    subject, detail = _STATUSES.get(code, (3, 0))
    return f'reject "5.{subject}.{detail} refused by the recipient\'s rules"'
