"""The action of a recipe as actions of the rule language.

Idioms      formail as a filter becomes header actions, `formail -D` `duplicate within`, an answer
            made with `formail -r` and sendmail `reply with`, `| sendmail address` `forward to`.
Locks       of folders are dropped; one around a program becomes flock(1).
Fails with  Unsayable
"""

from __future__ import annotations

import os.path
import re

from mdeliver.addresses import can_be_sent_to
from mdeliver.procmail import formail
from mdeliver.procmail.commands import Commands, from_home, program_words
from mdeliver.procmail.folders import OF_DELIVERY, Mailboxes
from mdeliver.procmail.rules import Line
from mdeliver.procmail.symbols import Symbols
from mdeliver.procmail.syntax import Folder, Forward, Pipe, Recipe
from mdeliver.procmail.wording import END, HEADER, REF, Unsayable, quote, readable, ref, shown

DUPLICATES = "duplicate within 7d"

_SENDMAIL = re.compile(r"(?:\$SENDMAIL|\$\{SENDMAIL\}|(?:/usr/(?:s?bin|lib)/)?sendmail)(?=\s|$)")
_SENDMAIL_OPTIONS = frozenset(("-oi", "-i", "-oem", "-t", "-om", "-odq", "-odb"))
_MADE_UP = frozenset(("message-id", "resent-message-id"))
_ANSWER = re.compile(r"\(\s*(formail\s.*)\)\s*\|\s*(\S+)((?:\s+-\S+)*)\s*", re.DOTALL)


class Actions:
    """Converts the actions of one file.

    allow_shell  whether a shell's commands may be said as `sh -c`
    """

    def __init__(self, mailboxes: Mailboxes, allow_shell: bool) -> None:
        self.mailboxes = mailboxes
        self.allow_shell = allow_shell
        self.differs: list[str] = []
        """What of the last action is not quite the same."""

    def lines(self, recipe: Recipe, symbols: Symbols) -> list[Line]:
        """RECIPE's action, which is no block. Raises Unsayable."""
        self.differs = []
        action, flags = recipe.action, recipe.head.flags
        part = "head" if "h" in flags and "b" not in flags else ""
        part = "body" if "b" in flags and "h" not in flags else part
        match action:
            case Folder():
                names = symbols.split(action.words)
                lines = self.folder(names, symbols, "c" in flags)
                if "r" in flags and lines and not names[0].endswith(("/", "/dev/null")):
                    self.differs.append("lines that begin with From are quoted in the mbox")
                if part and "f" not in flags and lines not in ([], [Line("discard", True)]):
                    raise Unsayable(f"only the {part} goes into a folder")
                return lines
            case Forward():
                if part:
                    raise Unsayable(f"only the {part} is forwarded")
                return self.forward(symbols.split(action.words), "c" in flags)
            case Pipe():
                return self.pipe(recipe, action, symbols, part)
            case _:
                raise Unsayable("an action is missing")

    # --- folders and addresses

    def folder(self, names: list[str], symbols: Symbols, copies: bool) -> list[Line]:
        directory = absolute(symbols.value("MAILDIR") or "", "/")
        targets = []
        wanted = [name for name in names if name]
        if wanted and wanted[0].endswith("/."):
            wanted = [f"{name.rstrip('/.')}/." for name in wanted]
        elif wanted and not wanted[0].endswith("/"):
            # Only a file in a directory can be linked into others: procmail skips them.
            del wanted[1:]
        for name in wanted:
            path = absolute(name, directory)
            if path == "/dev/null":
                return [] if copies else [Line("discard", True)]
            if not path.strip("/"):
                raise Unsayable("a folder without a name")
            targets.append(self.mailboxes.target(path, directory))
        if not targets:
            self.differs.append("a folder without a name: procmail fails here and goes on")
            return []
        if copies:
            return [Line(f"also file to {', '.join(targets)}")]
        if targets == ["inbox"]:
            return [Line("keep", True)]
        return [Line(f"file to {', '.join(targets)}", True)]

    def forward(self, words: list[str], copies: bool) -> list[Line]:
        given = [word for word in words if word not in _SENDMAIL_OPTIONS]
        # sendmail takes `a@example.org, b@example.org` as well.
        addresses = [address for word in given for address in word.split(",") if address]
        options = [word for word in addresses if word.startswith("-")]
        if options:
            raise Unsayable(f"the option {options[0]} of sendmail")
        if not addresses:
            raise Unsayable("nobody to forward it to")
        for address in addresses:
            if REF not in address and not can_be_sent_to(readable(address)):
                raise Unsayable(f"{address!r} is no address")
        quoted = dict.fromkeys([quote(address) for address in addresses])
        text = f"forward to {', '.join(quoted)}"
        return [Line(f"also {text}") if copies else Line(text, True)]

    # --- programs

    def pipe(self, recipe: Recipe, action: Pipe, symbols: Symbols, part: str) -> list[Line]:
        flags = recipe.head.flags
        copies = "c" in flags
        command = action.command.strip()
        if answer := self.answer(command, symbols, copies):
            return answer
        if "f" not in flags and (sent := self.sent_on(command, symbols, copies, part)):
            return sent
        filters = "f" in flags
        if filters and (wanted := self.header_changes(command, symbols)):
            return self.changes(wanted)
        argv = Commands(symbols, self.allow_shell).program(command, part, filters=filters)
        self.look_at_arguments(argv)
        words = self.locked(recipe, argv, symbols)
        if filters:
            return [Line(f"filter through {words}")]
        return [Line(f"run {words}") if copies else Line(f"pipe to {words}", True)]

    def header_changes(self, command: str, symbols: Symbols) -> formail.Filter | None:
        """What formail changes in the head; None where COMMAND is something else."""
        argv, shell = symbols.command(command)
        if shell or os.path.basename(argv[0]) != "formail":
            return None
        wanted = formail.read_arguments(argv[1:])
        return wanted if isinstance(wanted, formail.Filter) else None

    def look_at_arguments(self, argv: list[str]) -> None:
        """An argument that a message begins could be taken for an option."""
        for word in argv[1:]:
            name = word[1:].partition(END)[0] if word.startswith(REF) else ""
            if name and name not in OF_DELIVERY:
                raise Unsayable("an argument that a message begins, perhaps with a hyphen")

    def locked(self, recipe: Recipe, argv: list[str], symbols: Symbols) -> str:
        lock = recipe.head.lock
        if lock:
            from mdeliver.procmail.words import SPLIT, read_words

            (name, *_) = symbols.split(read_words(lock, 0, SPLIT).words)
            directory = absolute(symbols.value("MAILDIR") or "", "/")
            argv = ["flock", absolute(name, directory), *argv]
            self.differs.append("the lock file stays where it is, empty: flock(1) locks it")
        return program_words(argv)

    def changes(self, wanted: formail.Filter) -> list[Line]:
        """formail as a filter: header actions, in formail's own order."""
        made: list[Line] = []
        for old, new in wanted.renames:
            made += self.renamed(old.removesuffix(":"), new.removesuffix(":"))
        for sign in "aAiI":
            for change in wanted.changes:
                if change.sign == sign:
                    made += self.change(change)
        return made

    def renamed(self, old: str, new: str) -> list[Line]:
        self.differs.append(f"of several {old} only the first becomes {new}")
        asked = f'if header {quote(old)} matches "(*)"'
        header = quote(f"{new}: {ref('1')}")
        return [Line(f"{asked}: add header {header}"), Line(f"remove header {quote(old)}")]

    def change(self, change: formail.Change) -> list[Line]:
        name = change.name.removesuffix(":")
        if change.name == "From ":
            # The From_ line: the delivery writes its own.
            return []
        if name.lower() in _MADE_UP and not change.text.strip() and change.sign in "Aa":
            self.differs.append(f"no {name} is made up for mail that has none")
            return []
        header = quote(f"{name}: {change.text.strip()}")
        if change.sign == "i":
            self.differs.append(f"the old {name} is not kept as Old-{name}")
        match change.sign:
            case "A":
                return [Line(f"add header {header}")]
            case "a":
                return [Line(f"if header {quote(name)} does not exist: add header {header}")]
            case _ if not change.text.strip():
                return [Line(f"remove header {quote(name)}")]
            case _:
                return [Line(f"set header {header}")]

    # --- idioms

    def sent_on(self, command: str, symbols: Symbols, copies: bool, part: str) -> list[Line]:
        """`[formail -A … |] sendmail addresses`, nothing where it is something else."""
        first, bar, last = command.replace("\\\n", " ").rpartition("|")
        found = _SENDMAIL.match(last.strip())
        if found is None:
            return []
        words = symbols.command(last.strip()[found.end() :].strip() or "-")[0]
        if "-t" in words or any(REF + HEADER in word for word in words):
            return []
        lines: list[Line] = []
        if bar:
            argv, shell = symbols.command(first)
            if shell or os.path.basename(argv[0]) != "formail":
                return []
            wanted = formail.read_arguments(argv[1:])
            if not isinstance(wanted, formail.Filter):
                return []
            lines = self.changes(wanted)
            if copies:
                self.differs.append("your own copy has the added header as well")
        if part:
            program = Commands(symbols, self.allow_shell).program(last, part)
            words_of_it = program_words(program)
            done = Line(f"run {words_of_it}") if copies else Line(f"pipe to {words_of_it}", True)
            return [*lines, done]
        return [*lines, *self.forward(words, copies)]

    def answer(self, command: str, symbols: Symbols, copies: bool) -> list[Line]:
        """`(formail -r …; echo …; cat FILE) | sendmail -t`, nothing where it is something else."""
        found = _ANSWER.fullmatch(command.replace("\\\n", " ").strip())
        if found is None or not _SENDMAIL.fullmatch(found[2]) or "-t" not in found[3].split():
            return []
        commands = [part.strip() for part in found[1].split(";") if part.strip()]
        argv = symbols.command(commands[0])[0]
        if not isinstance(formail.read_arguments(argv[1:]), formail.Reply):
            return []
        said: list[str] = []
        files: list[str] = []
        for part in commands[1:]:
            words, shell = symbols.command(part)
            if shell or words[0] not in ("echo", "cat"):
                raise Unsayable(f"an answer that is made by a program: {part}")
            if words[0] == "echo":
                said.append(" ".join(words[1:]))
            else:
                files += words[1:]
        if files and said:
            self.differs.append(f"{shown(', '.join(files))} is not added to the answer")
        if files and not said:
            if len(files) > 1:
                raise Unsayable("an answer made of several files")
            path = absolute(files[0], absolute(symbols.value("MAILDIR") or "", "/"))
            text = f"reply with file {quote(from_home(path))}"
        else:
            text = f"reply with {quote(chr(10).join(said) or 'Your message was received.')}"
        lines = [Line(f"also {text} every 7d")]
        return lines if copies else [*lines, Line("discard", True)]


def absolute(path: str, directory: str) -> str:
    """PATH as seen from DIRECTORY; a reference to the home directory is absolute."""
    if path.startswith(("/", REF + "home")):
        return path
    return f"{directory.rstrip('/')}/{path}" if directory != "/" else f"{REF}home\x02/{path}"
