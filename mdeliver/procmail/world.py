"""What procmail would find around it: variables it presets, files that exist, programs.

Reads       file names and included rcfiles; writes nothing, and runs programs only where asked.
Idioms      formail -x, date(1) and echo are known without being run.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from mdeliver.procmail import formail
from mdeliver.procmail.expand import Unknown
from mdeliver.procmail.words import SPLIT, read_words

SHELL_SIGNS = "&|<>~;?*["
"""SHELLMETAS: a command that has one of these goes to a shell."""

PROGRAM_TIMEOUT_S = 120.0

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\\.', re.DOTALL)

_DATE = re.compile(r"\+(?:[^%]|%[YmdyHMSjbBaAeFT%])*")


class Ran:
    """A program that was run: its exit status and what it printed."""

    __slots__ = ("output", "status")

    def __init__(self, status: int, output: bytes) -> None:
        self.status = status
        self.output = output


class World:
    """The surroundings of one user's procmail.

    home, user   whose it is
    default      the mailbox of the system, /var/mail/USER
    programs     whether programs may be run
    directory    where procmail runs, for relative names before MAILDIR is set
    variables    more that are preset, or others in their place
    now_s        the time for date(1), seconds since 1970; None for now
    pretends     whether every directory is taken to be there, as where the file is in use, no
                 message to have been there before, and filters that are not run to change nothing
    """

    def __init__(
        self,
        home: str,
        user: str,
        *,
        default: str = "",
        programs: bool = False,
        directory: str = "",
        variables: Mapping[str, str] | None = None,
        now_s: float | None = None,
        pretends: bool = False,
    ) -> None:
        self.home = home
        self.user = user
        self.default = default or f"/var/mail/{user}"
        self.programs = programs
        self.directory = directory or home
        self.extra = dict(variables or {})
        self.now_s = now_s
        self.pretends = pretends
        self.argument: str | None = None
        """What stands behind `procmail -a`: in Postfix's mailbox_command the extension."""
        self.seen_ids: dict[str, set[str]] = {}
        """What `formail -D` remembers, by its file."""

    def variables(self) -> dict[str, str]:
        """What procmail presets."""
        return {
            "HOME": self.home,
            "LOGNAME": self.user,
            "SHELL": "/bin/sh",
            "ORGMAIL": self.default,
            "DEFAULT": self.default,
            "MAILDIR": self.directory,
            "PATH": f"{self.home}/bin:/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
            "HOST": socket.gethostname(),
            "LOCKEXT": ".lock",
            "MSGPREFIX": "msg.",
            "SENDMAIL": "/usr/sbin/sendmail",
            "SENDMAILFLAGS": "-oi",
            "SHELLFLAGS": "-c",
            "SHELLMETAS": SHELL_SIGNS,
            "LINEBUF": "2048",
            "PROCMAIL_VERSION": "3.22",
            **self.extra,
        }

    def kind(self, path: str) -> str:
        """ "directory", "file", or "" where there is nothing."""
        if "\0" in path:
            return ""
        if os.path.isdir(path):
            return "directory"
        return "file" if os.path.exists(path) else ""

    def has_directory(self, path: str) -> bool:
        """Whether a folder can be made in PATH."""
        return self.pretends or self.kind(path) == "directory"

    def read(self, path: str) -> str | None:
        """An rcfile's text, a character for each byte; None where it cannot be read."""
        if self.kind(path) != "file" or not os.path.isfile(path):
            return None
        try:
            return Path(path).read_bytes().decode("latin-1")
        except OSError:
            return None

    def run(self, argv: list[str], given: bytes, environ: Mapping[str, str], directory: str) -> Ran:
        """Run a program. Raises Unknown where none may be run, or it cannot be."""
        if not self.programs:
            said = argv[2] if argv[1:2] == ["-c"] else argv[0]
            raise Unknown(f"what {said!r} does is known only with --run-programs")
        octets = {key.encode("latin-1"): value.encode("latin-1") for key, value in environ.items()}
        try:
            done = subprocess.run(
                [word.encode("latin-1") for word in argv],
                input=given,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=octets,
                cwd=directory,
                timeout=PROGRAM_TIMEOUT_S,
                check=False,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise Unknown(f"{argv[0]!r} cannot be run: {error}") from None
        return Ran(done.returncode, done.stdout)

    def known_output(self, argv: list[str], message: bytes) -> bytes | None:
        """What a program prints whose output is known without running it."""
        name = os.path.basename(argv[0])
        if name == "formail":
            wanted = formail.read_arguments(argv[1:])
            if isinstance(wanted, formail.Extract):
                return formail.extracted(message, wanted)
            if isinstance(wanted, formail.Answered):
                address = formail.answered(message, wanted)
                space = "" if wanted.strips else " "
                return None if address is None else f"{space}{address}\n".encode("latin-1")
        if name == "date" and len(argv) == 2 and _DATE.fullmatch(argv[1]):
            now = time.localtime(self.now_s)
            return (time.strftime(argv[1][1:], now) + "\n").encode()
        if name == "echo" and not any(word.startswith("-") for word in argv[1:]):
            return (" ".join(argv[1:]) + "\n").encode("latin-1")
        return None


def has_shell_signs(command: str, signs: str = SHELL_SIGNS) -> bool:
    """Whether procmail gives COMMAND to a shell."""
    if any(sign in command for sign in signs):
        return True
    # procmail leaves test(1) to the shell, which has it built in.
    words = read_words(command, 0, SPLIT).words.plain
    return words is not None and words.split(" ")[0] == "test"


def needs_shell(command: str) -> bool:
    """Whether COMMAND means something else without a shell.

    procmail calls one for any of its signs; within quotes they are only themselves.
    """
    if not has_shell_signs(command) or command.split(" ")[0] == "test":
        return "`" in command or "$(" in command
    bare = _QUOTED.sub("", command)
    return has_shell_signs(bare) or "`" in command or "$(" in command
