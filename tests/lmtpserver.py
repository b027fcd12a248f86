"""A private `mdeliver lmtp`, and a client that sees every reply.

Users    virtual ones, so that any test run can have as many as it likes: all belong to nobody where
         the tests run as root, else to who runs them; each has ~/Maildir and ~/mbox
Client   writes lines, reads replies one by one: smtplib's own knows one reply to a message only
"""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.installation import LDA
from tests.mboxreader import read_mbox
from tests.waiting import wait_for

MDELIVER = LDA.parent / "mdeliver"
MESSAGE = b"From: <a@example.net>\nTo: <b@example.org>\nSubject: hello\n\nHow are you?\n"
RULES = """\
mailbox imap = maildir "~/Maildir"
mailbox pop3 = mbox "~/mbox"
inbox = imap, pop3
"""


class Reply(NamedTuple):
    """One reply of the server."""

    code: int
    text: str


class Client:
    """One LMTP session."""

    def __init__(self, address: Path | tuple[str, int], *, greet: bool = True) -> None:
        family = socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self._received = b""
        try:
            # With a time limit, connect(2) does not wait where the server's backlog is full.
            self.sock.connect(str(address) if isinstance(address, Path) else address)
            self.sock.settimeout(120)
            if greet:
                self.reply()
                self.say("LHLO client.example.net")
        except BaseException:
            self.sock.close()
            raise

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, octets: bytes) -> None:
        """Write OCTETS as they are."""
        self.sock.sendall(octets)

    def reply(self) -> Reply:
        """The next reply; lines of a longer one are joined. Code 0 at the end."""
        texts = []
        while True:
            while b"\r\n" not in self._received:
                try:
                    octets = self.sock.recv(4096)
                except ConnectionResetError:  # the server had something unread when it closed
                    octets = b""
                if not octets:
                    return Reply(0, "")
                self._received += octets
            line, _, self._received = self._received.partition(b"\r\n")
            texts.append(line[4:].decode())
            if line[3:4] != b"-":
                return Reply(int(line[:3]), "\n".join(texts))

    def say(self, line: str) -> Reply:
        """Write a command and read its reply."""
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def envelope(self, *recipients: str, ident: str = "", sender: str = "a@example.net") -> None:
        """Everything before the message; all recipients must be accepted."""
        if ident:
            assert self.say(f"XFORWARD IDENT={ident}").code == 250
        assert self.say(f"MAIL FROM:<{sender}>").code == 250
        for recipient in recipients:
            reply = self.say(f"RCPT TO:<{recipient}>")
            assert reply.code == 250, reply

    def start_message(self, *recipients: str, ident: str = "", message: bytes = MESSAGE) -> None:
        """Send a message to the end, and do not wait for what becomes of it."""
        self.envelope(*recipients, ident=ident)
        self.message(message)

    def message(self, message: bytes = MESSAGE) -> None:
        """Send what follows the envelope, to the end."""
        assert self.say("DATA").code == 354
        self.send(message.replace(b"\n", b"\r\n") + b".\r\n")

    def deliver(self, *recipients: str, ident: str = "", message: bytes = MESSAGE) -> list[Reply]:
        """Send a message; one reply for each recipient."""
        self.start_message(*recipients, ident=ident, message=message)
        return [self.reply() for _ in recipients]


class Server:
    """A running server with virtual users ann, bob and carl at example.org."""

    def __init__(self, top: Path, **settings: Any) -> None:
        """SETTINGS go into the table [lmtp]."""
        self.top = top
        self.path = top / "lmtp.sock"
        self.door = top / "launcher.sock"
        self.log = top / "log"
        owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        self.owner = owner
        homes = top / "homes"
        homes.mkdir(exist_ok=True)
        os.chown(homes, owner.pw_uid, owner.pw_gid)
        users = top / "users"
        users.write_text("".join(f"{name}@example.org {name}\n" for name in ("ann", "bob", "carl")))
        # What has just been changed may still be written: nobody would be refused by it.
        os.utime(users, (0, 0))
        for name in ("ann", "bob", "carl"):
            self.write_rules(name, RULES)
        self.settings: dict[str, Any] = {
            "listen": [f"unix:{self.path}"],
            "launcher": str(self.door),
            "socket_user": "",
            "users": "virtual",
            "virtual_user": owner.pw_name,
            "virtual_users": [str(users)],
            "virtual_homes": str(homes),
            # Where a machine is slow nobody is to be sent away for it.
            "slow_s": 250,
        } | settings
        self.site: dict[str, Any] = {}
        self.tables: dict[str, dict[str, Any]] = {}
        """Further tables of the settings file."""
        self.process: subprocess.Popen[bytes] | None = None
        self.before: list[str] = []
        """What the command of `start` begins with, such as strace."""

    @property
    def settings_path(self) -> Path:
        """The settings file, as the settings are now."""
        path = self.top / "mdeliver.toml"
        lines = [f"{key} = {_toml(value)}" for key, value in self.site.items()]
        lines += ["[lmtp]", *[f"{key} = {_toml(value)}" for key, value in self.settings.items()]]
        for name, table in self.tables.items():
            lines += [f"[{name}]", *[f"{key} = {_toml(value)}" for key, value in table.items()]]
        path.write_text("\n".join(["[site]", *lines]) + "\n")
        return path

    def home(self, name: str) -> Path:
        """The home of a user."""
        return self.top / "homes" / name

    def write_rules(self, name: str, text: str) -> None:
        """Make TEXT the rules of a user."""
        path = self.home(name) / ".config" / "mdeliver" / "rules"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        for made in (path, path.parent, path.parent.parent, self.home(name)):
            os.chown(made, self.owner.pw_uid, self.owner.pw_gid)

    def start(self, *options: str, **popen: Any) -> Server:
        """Start it, and wait until it listens."""
        command = [
            *self.before,
            str(MDELIVER),
            "lmtp",
            "--settings",
            str(self.settings_path),
            *options,
        ]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **popen
            )
        wait_for(self._listens, "the server to listen")
        return self

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with socket.socket(socket.AF_UNIX) as asked:
            return asked.connect_ex(str(self.path)) == 0

    def client(self) -> Client:
        """A session with it."""
        return Client(self.path)

    def signal(self, number: int) -> None:
        """Send a signal to the master."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """Stop it, and wait for its end; its exit status."""
        if self.process is None:
            return 0
        self.process.terminate()
        return self.process.wait(120)

    def kill(self) -> None:
        """Kill every process of it."""
        assert self.process is not None
        # Once it has stopped it makes no child that is not in the list.
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        pids = [self.process.pid, *self.children()]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(120)
        for pid in pids[1:]:
            wait_for(lambda pid=pid: not Path(f"/proc/{pid}").exists(), f"{pid} to be gone")  # type: ignore[misc]

    def children(self) -> list[int]:
        """Pids of the front, which is the first, and of the workers.

        They come as they were made. Sorted they would not: pids begin anew some day.
        """
        assert self.process is not None
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def workers(self) -> list[int]:
        """Pids of the workers."""
        return self.children()[1:]

    def in_mbox(self, name: str) -> list[bytes]:
        """Whole messages of a user's mbox."""
        mbox = self.home(name) / "mbox"
        return [stored.message for stored in read_mbox(mbox.read_bytes())] if mbox.exists() else []

    def in_maildir(self, name: str) -> list[bytes]:
        """Messages of a user's Maildir."""
        return [path.read_bytes() for path in (self.home(name) / "Maildir").glob("new/*")]

    def copies(self, name: str) -> tuple[int, int]:
        """How many messages are in the mbox and in the Maildir of a user."""
        return len(self.in_mbox(name)), len(self.in_maildir(name))


@contextmanager
def locked(server: Server, name: str) -> Iterator[None]:
    """NAME's mbox is locked, as by a POP3 server: a delivery waits in its midst."""
    path = server.home(name) / "mbox"
    with path.open("ab") as held:
        os.chown(path, server.owner.pw_uid, server.owner.pw_gid)
        fcntl.fcntl(held, fcntl.F_OFD_SETLKW, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        yield


def at_work(server: Server, name: str) -> bool:
    """Whether a delivery to NAME has its copy ready and waits for the mbox."""
    return any((server.home(name) / "Maildir" / "tmp").glob("*")) or bool(
        list(server.home(name).glob("mbox.lock"))
    )


def _toml(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
