"""What one procmail process knows: its variables, its directory, its message."""

from __future__ import annotations

import os

from mdeliver.procmail.expand import Expander, Unknown
from mdeliver.procmail.formail import NUMBER
from mdeliver.procmail.mail import Mail
from mdeliver.procmail.syntax import Assignment, Words
from mdeliver.procmail.words import SPLIT, read_words
from mdeliver.procmail.world import World, has_shell_signs


class State:
    """One process's own state; `mail` is the message as filters have left it so far."""

    def __init__(self, world: World, mail: Mail) -> None:
        self.world = world
        self.mail = mail
        self.variables: dict[str, str | Unknown] = dict(world.variables())
        self.directory = world.directory
        self.score = 0
        self.exit_code = 0
        """Of the last program."""
        self.has_exitcode = False
        self.made: set[str] = set()
        """Directories that a delivery of this run makes."""

    def copy(self) -> State:
        """For a clone."""
        made = State(self.world, self.mail)
        made.variables = dict(self.variables)
        made.directory, made.score, made.exit_code = self.directory, self.score, self.exit_code
        made.has_exitcode, made.made = self.has_exitcode, self.made
        return made

    def value(self, name: str) -> str | None:
        """A variable's value, None where it is unset. Raises Unknown."""
        if name == "=":
            return str(self.score)
        if name == "?":
            return str(self.exit_code)
        if name in ("#", "@") or name.isdigit():
            argument = self.world.argument
            given = {"#": "0" if argument is None else "1", "@": argument, "1": argument}
            return given.get(name)
        found = self.variables.get("LASTFOLDER" if name == "-" else name)
        if isinstance(found, Unknown):
            raise found
        if name == "$":
            raise Unknown("the process id is another one each time")
        return found

    def expander(self) -> Expander:
        return Expander(self.value, self.output)

    def assign(self, item: Assignment) -> None:
        """Set or unset a variable; what only a program knows is noted as unknown."""
        if item.value is None:
            self.variables.pop(item.name, None)
            return
        try:
            self.set(item.name, self.expander().text(item.value))
        except Unknown as error:
            self.variables[item.name] = Unknown(f"${item.name}: {error}")
            if item.name == "EXITCODE":
                self.has_exitcode = True

    def set(self, name: str, value: str) -> None:
        self.variables[name] = value
        if name == "EXITCODE":
            self.has_exitcode = True

    def exit_status(self, status: int) -> int:
        """STATUS, or what EXITCODE says."""
        if self.has_exitcode and (code := self.variables.get("EXITCODE")):
            if isinstance(code, Unknown):
                raise code
            digits = code.strip()
            return int(digits) & 255 if NUMBER.fullmatch(digits) else status
        return status

    # --- places

    def absolute(self, path: str) -> str:
        """PATH as it is from where procmail stands; a trailing slash stays."""
        return path if path.startswith("/") else f"{self.directory}/{path}"

    def change_directory(self, world: World) -> None:
        """After an assignment to MAILDIR: procmail stays where it is if it cannot go there."""
        path = self.absolute(self.value("MAILDIR") or "")
        if world.has_directory(path):
            self.directory = os.path.normpath(path)

    # --- programs

    def command(self, text: str) -> tuple[list[str], bool]:
        """What is run for the command TEXT, and whether it is a shell's."""
        if has_shell_signs(text, self.value("SHELLMETAS") or ""):
            return [text], True
        return self.expander().split(read_words(text, 0, SPLIT).words), False

    def environ(self) -> dict[str, str]:
        return {n: v for n, v in self.variables.items() if isinstance(v, str) and "\0" not in v}

    def run(self, argv: list[str], shell: bool, given: bytes) -> bytes:
        """Run a program; what it prints. Its exit status is `exit_code`. Raises Unknown."""
        if shell:
            shell_path, flags = self.value("SHELL") or "/bin/sh", self.value("SHELLFLAGS") or "-c"
            argv = [shell_path, flags, argv[0]]
        ran = self.world.run(argv, given, self.environ(), self.directory)
        self.exit_code = ran.status
        return ran.output

    def output(self, command: str) -> str:
        """What a command in back quotes prints, without the newlines at its end."""
        argv, shell = self.command(command)
        known = None if shell else self.world.known_output(argv, self.mail.octets)
        octets = self.run(argv, shell, self.mail.octets) if known is None else known
        return octets.decode("latin-1").rstrip("\n")

    def words(self, words: Words) -> list[str]:
        return self.expander().split(words)
