"""A Sieve script as rules of mdeliver.

Order       as in the script: if, elsif and else as they stand; comments where they stood.
Implicit keep  fileinto, redirect and discard without `stop` let a script go on and take the inbox
            away. Where something follows, a `let` remembers it, and the last rule asks.
See also    tests.py; procmail/rules.py, which prints; MIGRATING.md
"""

from __future__ import annotations

import re

from mdeliver.procmail.report import Converted, Entry
from mdeliver.procmail.rules import Branch, Choice, Line, always_ends, as_text, print_nodes, tidy
from mdeliver.procmail.wording import Constant, Unsayable, quote
from mdeliver.sieve.reader import Command, Script, Text
from mdeliver.sieve.tests import Arguments, Conditions, variable_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mdeliver.procmail.rules import Node

_FLAGS = {"\\seen": "seen", "\\flagged": "flagged", "\\answered": "answered", "\\draft": "draft"}
_PLAIN_STEP = re.compile(r"[\w+@&!~-]+(?:\.[\w+@&!~-]+)*")

_FILED = "filed"
"""The `let` that remembers that something other than the inbox has the message."""


def convert_sieve(script: Script) -> Converted:
    """SCRIPT as rules."""
    converter = _Converter(script)
    nodes = tidy(converter.block(script.commands, last=True))
    if converter.remembers:
        nodes = [Line(f'let {_FILED} = "no"'), *nodes]
        if not always_ends(nodes):
            nodes.append(Line(f'if "{{{_FILED}}}" is "yes": discard'))
    lines = [f"# Converted from {script.name} by mdeliver convert sieve.", ""]
    lines += print_nodes([*nodes, Line("", comments=list(script.last))])
    if not any(f"{{{_FILED}}}" in line for line in lines):
        lines = [line for line in lines if not line.lstrip().startswith(f"let {_FILED} =")]
    return Converted(as_text(lines), tuple(converter.entries), script.findings)


class _Converter:
    def __init__(self, script: Script) -> None:
        whole = str(script)
        self.entries: list[Entry] = []
        self.remembers = False
        self.marked = False
        """Whether flags were added further up."""
        self.flags: list[str] = []
        names: set[str] = set()
        _variables(script.commands, names)
        self.names = names
        marks = _adds_flags(script.commands)
        self.conditions = Conditions(bool(re.search(r"\$\{\d\}", whole)), names, marks)

    def lose(self, command: Command, why: str) -> Line:
        place = command.span
        self.entries.append(Entry("lost", place, command.name, why, "write it by hand"))
        said = f" NOT CARRIED OVER: {why} (line {place.line})"
        return Line("", comments=[*command.comments, said])

    # --- blocks

    def block(self, commands: tuple[Command, ...], *, last: bool) -> list[Node]:
        """COMMANDS as rules; LAST: whether nothing of the script follows them."""
        made: list[Node] = []
        chain: Choice | None = None
        others = [n for n, command in enumerate(commands) if command.name not in ("elsif", "else")]
        for number, command in enumerate(commands):
            ends = last and number == len(commands) - 1
            if command.name in ("if", "elsif", "else"):
                goes_on = others != [] and number < others[-1]
                chain = self.branch(command, chain, made, last and not goes_on)
                continue
            chain = None
            if command.name == "require":
                made.append(Line("", comments=list(command.comments)))
                continue
            if command.name == "stop":
                self.stop(made, command)
                return made
            stops = [c.name for c in commands[number + 1 : number + 2]] == ["stop"]
            made += self.action(command, ends or stops)
            if stops and _ends(made):
                return made
        return made

    def branch(
        self, command: Command, chain: Choice | None, made: list[Node], last: bool
    ) -> Choice | None:
        block = self.block(command.block or (), last=last)
        comments = list(command.comments)
        if command.name == "else":
            if chain is not None:
                chain.otherwise = [Line("", comments=comments), *block]
            return None
        try:
            condition = self.conditions.of(command.tests[0]) if command.tests else Constant(True)
        except (Unsayable, ValueError, IndexError) as error:
            made.append(self.lose(command, str(error)))
            condition = Constant(False)
            comments = []
        if command.name == "elsif" and chain is not None:
            chain.branches.append(Branch(condition, block, comments))
            return chain
        new = Choice([Branch(condition, block, comments)])
        made.append(new)
        return new

    def stop(self, made: list[Node], command: Command) -> None:
        filed = any(isinstance(n, Line) and n.text == f'let {_FILED} = "yes"' for n in made)
        text = "discard" if filed else "keep"
        if self.remembers and not filed:
            made.append(Line(f'if "{{{_FILED}}}" is "yes": discard'))
        made.append(Line(text, True, list(command.comments)))

    # --- actions

    def action(self, command: Command, ends: bool) -> list[Node]:
        try:
            lines = self.lines(command, ends)
        except (Unsayable, ValueError, IndexError) as error:
            return [self.lose(command, str(error))]
        if lines:
            lines[0].comments = [*command.comments, *lines[0].comments]
        return list(lines)

    def lines(self, command: Command, ends: bool) -> list[Line]:
        match command.name:
            case "keep":
                flags = self.as_flags(Arguments(command, (":flags",)))
                return [Line(f"keep{flags}", True) if ends else Line(f"also keep{flags}")]
            case "fileinto":
                return self.fileinto(command, ends)
            case "redirect":
                arguments = Arguments(command, ())
                address = quote(self.conditions.text(arguments.texts(0)[0]))
                return self.delivery(f"forward to {address}", arguments, ends)
            case "discard":
                return [Line("discard", True)] if ends else self.remember([])
            case "reject" | "ereject":
                return [Line(f"reject {quote(Arguments(command, ()).texts(0)[0])}", True)]
            case "setflag" | "addflag" | "removeflag":
                return self.flag(command)
            case "vacation":
                return [self.vacation(command)]
            case "set":
                return [self.variable(command)]
            case "addheader" | "deleteheader":
                return [self.header(command)]
            case _:
                raise Unsayable(f"the command {command.name}")

    def delivery(self, text: str, arguments: Arguments, ends: bool) -> list[Line]:
        if ":copy" in arguments.tags:
            return [Line(f"also {text}")]
        if ends:
            return [Line(text, True)]
        return self.remember([Line(f"also {text}")])

    def remember(self, lines: list[Line]) -> list[Line]:
        self.remembers = True
        return [*lines, Line(f'let {_FILED} = "yes"')]

    def fileinto(self, command: Command, ends: bool) -> list[Line]:
        arguments = Arguments(command, (":flags", ":mailboxid", ":specialuse"))
        folder = self.conditions.text(arguments.texts(0)[0])
        flags = self.as_flags(arguments)
        if flags and self.marked:
            why = "the flags that were added before are set as well"
            self.entries.append(Entry("differs", command.span, command.name, why, ""))
        text = f"file to {target(folder)}{flags}"
        if target(folder) == "inbox":
            text = f"keep{flags}"
        return self.delivery(text, arguments, ends)

    def as_flags(self, arguments: Arguments) -> str:
        written = arguments.tags.get(":flags", "")
        texts = written if isinstance(written, tuple) else (str(written),)
        found = [flag for text in texts for flag in text.split()]
        return f" as {', '.join(_flags(found))}" if found else ""

    def flag(self, command: Command) -> list[Line]:
        if command.name == "removeflag":
            if not self.conditions.marks:
                return []  # there is none
            raise Unsayable("a flag that is taken away: add it only where it is to stay")
        texts = Arguments(command, ()).texts(0)
        found = _flags([flag for text in texts for flag in text.split()])
        self.marked = True
        return [Line(f"mark as {', '.join(found)}")] if found else []

    def vacation(self, command: Command) -> Line:
        with_value = (":days", ":seconds", ":subject", ":from", ":addresses", ":handle")
        arguments = Arguments(command, with_value)
        if ":mime" in arguments.tags:
            raise Unsayable("a vacation text in MIME")
        head = []
        for tag in (":subject", ":from"):
            if tag in arguments.tags:
                head.append(f"{tag[1:].title()}: {arguments.tags[tag]}")
        body = arguments.texts(0)[0].rstrip("\n")
        text = "\n".join([*head, *([""] if head else []), body])
        days = int(str(arguments.tags.get(":days", 7)))
        return Line(f"also reply with {quote(self.conditions.text(text))} every {days}d")

    def variable(self, command: Command) -> Line:
        arguments = Arguments(command, ())
        name, value = str(arguments.plain[0]), self.conditions.text(str(arguments.plain[1]))
        if set(arguments.tags) - {":lower"}:
            raise Unsayable(f"{', '.join(sorted(set(arguments.tags)))} of a variable")
        quoted = quote(value)
        if ":lower" in arguments.tags:
            quoted = quoted.replace("{", "{lower ")
        return Line(f"let {variable_name(name)} = {quoted}")

    def header(self, command: Command) -> Line:
        arguments = Arguments(command, (":index", ":comparator", ":value"))
        if arguments.tags and set(arguments.tags) - {":last"}:
            raise Unsayable("one of several headers")
        if command.name == "deleteheader":
            if len(arguments.plain) > 1:
                raise Unsayable("a header that is removed by its value")
            return Line(f"remove header {quote(arguments.texts(0)[0])}")
        name, value = arguments.texts(0)[0], self.conditions.text(arguments.texts(1)[0])
        return Line(f"add header {quote(f'{name}: {value}')}")


def target(folder: str) -> str:
    """A Sieve folder as a target in the mailbox `imap`."""
    if folder.upper() == "INBOX":
        return "inbox"
    for separator in ("/", "."):
        if separator in folder:
            steps = folder.split(separator)
            break
    else:
        steps = [folder]
    if steps[0].upper() == "INBOX":
        steps = steps[1:]
    made = []
    for step in steps:
        quoted = quote(step)
        bare = quoted[1:-1]
        made.append(bare if _PLAIN_STEP.fullmatch(re.sub(r"\{[\w ]+\}", "x", bare)) else quoted)
    return "imap/" + "/".join(made)


def _flags(written: list[str]) -> list[str]:
    others = [flag for flag in written if flag.lower() not in _FLAGS]
    if others:
        raise Unsayable(f"the flag {others[0]}: there are seen, flagged, answered and draft")
    return list(dict.fromkeys([_FLAGS[flag.lower()] for flag in written]))


def _ends(nodes: list[Node]) -> bool:
    return bool(nodes) and isinstance(nodes[-1], Line) and nodes[-1].ends


def _adds_flags(commands: tuple[Command, ...]) -> bool:
    return any(
        command.name in ("setflag", "addflag", "include") or _adds_flags(command.block or ())
        for command in commands
    )


def _variables(commands: tuple[Command, ...], names: set[str]) -> None:
    for command in commands:
        if command.name == "set":
            plain = [a for a in command.arguments if isinstance(a, Text)]
            if plain:
                names.add(str(plain[0]).lower())
        _variables(command.block or (), names)
