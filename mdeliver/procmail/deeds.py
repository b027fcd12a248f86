"""What a recipe's action does: folders, programs, addresses; none of it is done here.

Folders     no slash at the end: a directory that is there gets `msg.*`, else it is an mbox;
            `x/` a Maildir, `x/.` an MH folder. What cannot be written fails, and procmail goes on.
Programs    that deliver count as delivered; with `w` or `W` their success is taken for granted
            where they may not be run, and said to be.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from mdeliver.procmail import formail
from mdeliver.procmail.expand import Unknown
from mdeliver.procmail.fate import Delivery
from mdeliver.procmail.mail import read_mail, with_last_newline
from mdeliver.procmail.state import State
from mdeliver.procmail.syntax import Folder, Forward, Pipe, Recipe
from mdeliver.procmail.words import SPLIT, read_words
from mdeliver.procmail.world import World, needs_shell


class Done(NamedTuple):
    """What came of an action."""

    succeeded: bool
    delivered: bool


class Deeds:
    """Does actions by noting them in `deliveries`."""

    def __init__(self, world: World, state: State, deliveries: list[Delivery]) -> None:
        self.world = world
        self.state = state
        self.deliveries = deliveries
        self.assumed: list[str] = []
        self.rule = ""
        self.raw = self.careless = False
        self.begin, self.end = 0, len(state.mail.octets)

    def do(self, recipe: Recipe) -> Done:
        """Do RECIPE's action. Raises Unknown."""
        flags = recipe.head.flags
        mail = self.state.mail
        self.rule = recipe.span.where
        self.raw, self.careless = "r" in flags, "i" in flags
        if "h" in flags and "b" not in flags:
            self.end = mail.body_at
        elif "b" in flags and "h" not in flags:
            self.begin = mail.body_at
        action = recipe.action
        copies = "c" in flags
        match action:
            case Folder():
                if "f" in flags:
                    self.begin, self.end = 0, len(mail.octets)
                succeeded = self.folders(self.state.words(action.words))
                return Done(succeeded, succeeded and not copies)
            case Forward():
                addresses = self.state.words(action.words)
                flags_of_sendmail = (self.state.value("SENDMAILFLAGS") or "").split()
                argv = [self.state.value("SENDMAIL") or "", *flags_of_sendmail, *addresses]
                self.note("forward", "", argv, False)
                return Done(True, not copies)
            case Pipe():
                return self.pipe(recipe, action)
            case _:
                raise AssertionError(action)

    def note(
        self, kind: str, path: str, argv: list[str], shell: bool, raw: bool | None = None
    ) -> None:
        raw = self.raw if raw is None else raw
        self.deliveries.append(
            Delivery(
                kind,  # type: ignore[arg-type]
                path,
                tuple(argv),
                shell,
                self.state.mail,
                self.begin,
                self.end,
                raw,
                self.rule,
            )
        )

    # --- folders

    def folders(self, names: list[str]) -> bool:
        first, *others = names
        kind = self.folder(first)
        if kind in ("directory", "mh", "maildir"):
            for name in others:
                if name:
                    self.linked(name, kind)
        return kind != ""

    def folder(self, name: str) -> str:
        """Deliver to the folder NAME; its kind, "" where that fails."""
        if name == "|":
            self.note("pipe", "", ["|"], False)
            return "pipe"
        kind, path = self.kind_of(name)
        if kind == "nowhere":
            self.note("nowhere", path, [], False, raw=True)
            return kind
        if kind:
            self.note(kind, path, [], False)
            self.state.set("LASTFOLDER", name)
        return kind

    def linked(self, name: str, first: str) -> None:
        """A further directory, which gets a link to the file in the FIRST."""
        kind, path = self.kind_of(name, forced=True)
        if kind:
            self.note(kind, path, [], False)
            made = self.deliveries[-1]
            self.deliveries[-1] = made.replace(link_of=first)

    def kind_of(self, name: str, forced: bool = False) -> tuple[str, str]:
        wanted = "file"
        if len(name) > 2 and name.endswith("/."):
            name, wanted = name[:-2].rstrip("/") or "/", "mh"
        elif (len(name) > 2 and name.endswith("/")) or (len(name) == 2 and name[1] == "/"):
            name, wanted = name[:-1].rstrip("/") or "/", "maildir"
        if not name:
            return ("nowhere", "") if self.careless else ("", "")
        path = os.path.normpath(self.state.absolute(name))
        if path == "/dev/null":
            return "nowhere", path
        there = self.world.kind(path)
        if path in self.state.made:
            there = "directory"
        if wanted != "file" or forced:
            if there == "file":
                # It cannot be treated as a directory: it is an mbox.
                return ("", path) if forced else ("mbox", path)
            if not there and not self.is_directory(os.path.dirname(path)):
                # It is tried as an mbox then, which cannot be opened either.
                return ("nowhere", path) if self.careless and not forced else ("", path)
            self.state.made.add(path)
            return ("directory" if wanted == "file" else wanted), path
        if there == "directory":
            return "directory", path
        if self.is_directory(os.path.dirname(path)):
            return "mbox", path
        # With `i` an mbox that cannot even be opened counts as written, and the mail is lost.
        return ("nowhere", path) if self.careless and not forced else ("", path)

    def is_directory(self, path: str) -> bool:
        return path in self.state.made or self.world.has_directory(path)

    def at_the_end(self) -> bool:
        """The end of the file: DEFAULT, else ORGMAIL; whether that succeeds."""
        default = self.state.value("DEFAULT") or ""
        if default and self.folder(default):
            return True
        other = self.state.value("ORGMAIL") or ""
        return bool(other and other != default and self.folder(other))

    # --- programs

    def pipe(self, recipe: Recipe, action: Pipe) -> Done:
        flags = recipe.head.flags
        argv, shell = self.state.command(action.command.lstrip(" \t"))
        given = self.state.mail.octets[self.begin : self.end]
        if "f" in flags:
            return self.filter(flags, argv, shell, given)
        if action.capture:
            return self.capture(action.capture, argv, shell, given)
        if not shell and argv == [""]:
            self.note("pipe", "", ["|"], False)
            return Done(True, "c" not in flags)
        waits = bool(set(flags) & {"w", "W"}) or recipe.head.lock is not None
        known = None if shell else self.duplicate(argv)
        if known is not None:
            succeeded = known or not waits
            return Done(succeeded, succeeded and "c" not in flags)
        succeeded = True
        if self.world.programs:
            self.state.run(argv, shell, with_last_newline(given, self.raw))
            succeeded = not waits or self.state.exit_code == 0
        elif waits:
            self.assumed.append(f"{self.rule}: {' '.join(argv)} succeeds")
        if succeeded:
            self.note("pipe", "", argv, shell)
        return Done(succeeded, succeeded and "c" not in flags)

    def duplicate(self, argv: list[str]) -> bool | None:
        """What `formail -D` answers; None where ARGV is something else."""
        if os.path.basename(argv[0]) != "formail":
            return None
        wanted = formail.read_arguments(argv[1:])
        if not isinstance(wanted, formail.Duplicates):
            return None
        if self.world.pretends:
            self.state.exit_code = 1
            return False
        seen = self.world.seen_ids.setdefault(self.state.absolute(wanted.cache), set())
        name = formail.message_id(self.state.mail.octets)
        known = name != "" and name in seen
        if name:
            seen.add(name)
        self.state.exit_code = 0 if known else 1
        return known

    def filter(self, flags: str, argv: list[str], shell: bool, given: bytes) -> Done:
        made: bytes | None = None
        if shell and not needs_shell(argv[0]):
            # The shell would make the same words of it.
            argv, shell = self.state.words(read_words(argv[0], 0, SPLIT).words), False
        if not shell and os.path.basename(argv[0]) == "formail":
            wanted = formail.read_arguments(argv[1:])
            if (
                isinstance(wanted, formail.Filter)
                and given.startswith(b"From ")
                and not (wanted.makes_from_line and self.world.programs)
            ):
                made = formail.filtered(with_last_newline(given, self.raw), wanted)
                self.state.exit_code = 0
        if made is None and self.world.pretends and not self.world.programs:
            # Mail that is there has been through it already.
            self.assumed.append(f"{' '.join(argv)} leaves the message as it is")
            return Done(True, False)
        if made is None:
            made = self.state.run(argv, shell, with_last_newline(given, self.raw))
        if self.state.exit_code and set(flags) & {"w", "W"}:
            return Done(False, False)
        octets = self.state.mail.octets
        self.state.mail = read_mail(octets[: self.begin] + made + octets[self.end :])
        return Done(True, False)

    def capture(self, name: str, argv: list[str], shell: bool, given: bytes) -> Done:
        known = None if shell else self.world.known_output(argv, given)
        try:
            made = self.state.run(argv, shell, given) if known is None else known
        except Unknown as error:
            self.state.variables[name] = Unknown(f"${name}: {error}")
            return Done(True, False)
        self.state.set(name, made.decode("latin-1").removesuffix("\n"))
        return Done(True, False)
