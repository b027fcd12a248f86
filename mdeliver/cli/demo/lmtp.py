"""The demonstration's other way in: a real `mdeliver lmtp`, and a client that speaks to it.

Server    virtual users ann and bob with homes below the temporary home; started and stopped here
Run by    anybody; by root the mailboxes are nobody's, since no mail is delivered as root
See also  lmtp/, RFC 2033
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
TIMEOUT_S = 120
PEOPLE = ("ann", "bob")

_RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""


class Line(NamedTuple):
    """One line of the session: who said it, "C" or "S", and what."""

    who: str
    words: str


def hindrance(home: Path) -> str:
    """Why a server cannot be shown in HOME, or "": as root, who else must be able to enter it."""
    if os.geteuid() != 0:
        return ""
    closed = [path for path in home.parents if not path.stat().st_mode & 0o001]
    return f"root gets no mail, and others cannot enter {closed[-1]}" if closed else ""


class LmtpStage:
    """A private server, while the context lasts."""

    def __init__(self, home: Path) -> None:
        self.top = home / "lmtp"
        self._socket = self.top / "socket"
        as_root = os.geteuid() == 0
        self._owner = pwd.getpwnam("nobody") if as_root else pwd.getpwuid(os.geteuid())
        if as_root:
            home.chmod(0o711)
        self.top.mkdir(mode=0o755)
        for person in PEOPLE:
            self._make_home(self.top / person)
        users = "".join(f"{person}@example.org {self.top / person}\n" for person in PEOPLE)
        (self.top / "users").write_text(users)
        (self.top / "users").chmod(0o644)
        (self.top / "mdeliver.toml").write_text(
            f'[lmtp]\nlisten = ["unix:{self._socket}"]\nlauncher = ""\nsocket_user = ""\n'
            f'users = "virtual"\nvirtual_users = ["{self.top}/users"]\n'
            f'virtual_user = "{self._owner.pw_name}"\n'
        )

    def _make_home(self, home: Path) -> None:
        rules = home / ".config" / "mdeliver" / "rules"
        rules.parent.mkdir(parents=True)
        rules.write_text(_RULES)
        rules.chmod(0o600)
        for path in (home, rules.parent.parent, rules.parent, rules):
            os.chown(path, self._owner.pw_uid, self._owner.pw_gid)

    def __enter__(self) -> LmtpStage:
        # So that a clone works without being installed.
        added = {"PYTHONPATH": str(HERE.parents[2])}
        self._log = (self.top / "log").open("wb")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "mdeliver", "lmtp", "--settings", f"{self.top}/mdeliver.toml"],
            stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log,
            env=os.environ | added,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self._server.poll() is None:
            self._server.terminate()
        try:
            self._server.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._log.close()

    def deliver(self, sender: str, message: bytes) -> list[Line]:
        """Bring MESSAGE for both; the session. What goes wrong is its last line."""
        lines: list[Line] = []
        try:
            with self._connection() as connection:
                reader = connection.makefile("rb")

                def say(words: str) -> None:
                    lines.append(Line("C", words))
                    connection.sendall(words.encode() + b"\r\n")

                def hear() -> None:
                    while True:
                        words = reader.readline().decode(errors="replace").rstrip("\r\n")
                        lines.append(Line("S", words))
                        if words[3:4] != "-":
                            return

                hear()
                recipients = [f"RCPT TO:<{person}@example.org>" for person in PEOPLE]
                for command in ("LHLO mx.example.org", f"MAIL FROM:<{sender}>", *recipients):
                    say(command)
                    hear()
                say("DATA")
                hear()
                lines.append(Line("C", f"({len(message)} octets)"))
                body = message.replace(b"\n", b"\r\n").replace(b"\r\n.", b"\r\n..")
                connection.sendall(body + b".\r\n")
                for _ in PEOPLE:
                    hear()
                say("QUIT")
                hear()
        except OSError as error:
            lines.append(Line("S", f"(no answer: {error.strerror or error})"))
        return lines

    def _connection(self) -> socket.socket:
        """A connection, as soon as the server listens."""
        end = time.monotonic() + TIMEOUT_S
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(TIMEOUT_S)
            try:
                connection.connect(str(self._socket))
                return connection
            except OSError:
                connection.close()
                if time.monotonic() > end or self._server.poll() is not None:
                    raise
                # connect(2) does not wait for a socket that is yet to be made.
                time.sleep(0.02)

    def copies(self, message: bytes) -> list[str]:
        """The places that hold MESSAGE, as paths below the temporary home."""
        found = []
        for person in PEOPLE:
            home = self.top / person
            mbox = home / "mbox"
            if mbox.exists() and mbox.read_bytes().count(message) == 1:
                found.append(f"lmtp/{person}/mbox")
            for path in sorted((home / "Maildir").glob("new/*")):
                if path.read_bytes().endswith(message):
                    found.append(f"lmtp/{person}/Maildir/new")
        return found

    def clear(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.top, ignore_errors=True)
