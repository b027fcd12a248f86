"""The launcher's door: who asks is whom the kernel names, and what comes back is never a bounce."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from tests.installation import lacking
from tests.lmtpserver import MESSAGE, Server
from tests.local8 import Person, environment, identity
from tests.waiting import wait_for

# What a launcher does, in a process of its own with an identity of its own. Written from the header
# of mdeliver/lmtp/door.py alone.
LAUNCHER = """\
import array, json, socket, struct, sys
door, arguments, environ = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
words = arguments + [name + "=" + value for name, value in environ.items()]
strings = b"".join(word.encode() + b"\\0" for word in words)
header = struct.pack("<4sIII", b"MDL2", len(arguments), len(environ), len(strings))
asked = socket.socket(socket.AF_UNIX)
asked.settimeout(120)
asked.connect(door)
rights = array.array("i", [0])
answer = asked.recv(8, socket.MSG_WAITALL)
if answer != struct.pack("<4sBBH", b"MDL2", 254, 0, 0):
    sys.stdout.buffer.write(answer)
    sys.exit()
try:
    asked.sendmsg([header], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    asked.sendall(strings)
except BrokenPipeError:
    pass
answer = asked.recv(8, socket.MSG_WAITALL)
if len(answer) == 8:
    length = int.from_bytes(answer[6:8], "little")
    answer += asked.recv(length, socket.MSG_WAITALL) if length else b""
sys.stdout.buffer.write(answer)
"""


def person(server: Server) -> Person:
    """Who knocks; the home is one of the server's."""
    return Person(
        server.owner.pw_name, server.home("ann"), server.owner.pw_uid, server.owner.pw_gid
    )


def knock(
    server: Server,
    arguments: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    standard_input: bytes = b"From a@example.net  Mon Nov 23 10:00:00 2026\n" + MESSAGE,
    who: Person | None = None,
) -> bytes:
    """The whole answer that a launcher gets."""
    who = who or person(server)
    environ = environment(person(server)) if environ is None else environ
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", LAUNCHER, str(server.door),
         json.dumps(list(arguments)), json.dumps(dict(environ))],
        input=standard_input, stdout=subprocess.PIPE, timeout=300, check=True, cwd="/",
        **identity(who),
    )  # fmt: skip
    return done.stdout


def status_and_line(answer: bytes) -> tuple[int, bytes]:
    assert answer[:4] == b"MDL2"
    assert answer[5] == 0
    assert int.from_bytes(answer[6:8], "little") == len(answer) - 8
    return answer[4], answer[8:]


@pytest.fixture
def open_door(make: Callable[..., Server]) -> Server:
    """A server that serves users of the system, and nobody's uid."""
    return make(users="system", first_uid=1).start()


def test_a_launcher_is_served(open_door: Server) -> None:
    assert status_and_line(knock(open_door)) == (0, b"")
    assert open_door.in_mbox("ann") == open_door.in_maildir("ann") == [MESSAGE]
    # The worker is used again, and knows the message when it is brought later.
    later = b"From a@example.net  Mon Nov 23 10:05:00 2026\n" + MESSAGE
    assert status_and_line(knock(open_door, standard_input=later)) == (0, b"")
    assert open_door.copies("ann") == (1, 1)
    assert len(open_door.workers()) == 1


def test_options_and_environment_are_the_launchers(open_door: Server, tmp_path: Path) -> None:
    rules = open_door.top / "rules"
    rules.write_text('if sender is "x@example.net": reject "5.7.1 not {user} today"\n')
    arguments = ["--rules", str(rules), "--sender=x@example.net", "--user", "ann"]
    status, line = status_and_line(knock(open_door, arguments))
    assert (status, line) == (77, b"5.7.1 not ann today")
    status, line = status_and_line(knock(open_door, ["--colour"]))
    assert status == 75
    assert line.startswith(b"4.3.5 ")


def test_an_empty_message_is_none(open_door: Server) -> None:
    status, line = status_and_line(knock(open_door, standard_input=b""))
    assert (status, line[:6]) == (75, b"4.3.0 ")


def test_root_is_sent_the_direct_way(open_door: Server) -> None:
    if os.geteuid() == 0:
        root = Person("root", Path("/"), 0, 0)
        assert status_and_line(knock(open_door, who=root)) == (255, b"")


def test_users_that_are_not_served_are_sent_the_direct_way(make: Callable[..., Server]) -> None:
    server = make(users="system", first_uid=1).start()
    if os.geteuid() == 0:
        server.settings["first_uid"] = server.owner.pw_uid + 1
        assert server.settings_path.exists()
        server.signal(signal.SIGHUP)
        wait_for(lambda: "read again" in server.log.read_text(), "the settings to be read")
        assert status_and_line(knock(server)) == (255, b"")


def test_nobody_reaches_another_users_mail(open_door: Server) -> None:
    """Whatever a user says of names and homes, it happens with that user's rights."""
    closed = open_door.top / "closed"
    closed.mkdir(mode=0o700)
    if os.geteuid() != 0:
        lacking("only root can make a directory of another user")
    environ = environment(person(open_door)) | {"HOME": str(closed), "USER": "root"}
    status, line = status_and_line(knock(open_door, environ=environ))
    assert status == 75
    assert line.startswith(b"4."), line
    assert list(closed.iterdir()) == []


def test_a_virtual_account_with_a_login_name_is_somebody_else(make: Callable[..., Server]) -> None:
    """Its mail is delivered as the virtual user; whoever has that login is not."""
    if os.geteuid() != 0:
        lacking("only root can be somebody else")
    server = make()
    users = server.top / "users"
    users.write_text("daemon ann\n")
    server.start()
    with server.client() as client:
        assert [reply.code for reply in client.deliver("daemon")] == [250]
    entry = pwd.getpwnam("daemon")
    home = server.top / "daemon"
    home.mkdir(mode=0o700)
    os.chown(home, entry.pw_uid, entry.pw_gid)
    rules = home / "rules"
    rules.write_text('file to maildir "~/Maildir"\n')
    os.chown(rules, entry.pw_uid, entry.pw_gid)
    rules.chmod(0o600)
    login = Person("daemon", home, entry.pw_uid, entry.pw_gid)
    answer = knock(server, ["--rules", str(rules)], environment(login), who=login)
    assert status_and_line(answer) == (0, b"")
    with server.client() as client:
        assert [reply.code for reply in client.deliver("daemon")] == [250]
    assert server.copies("ann") == (2, 2)


@pytest.mark.parametrize(
    "request_octets",
    [
        b"",
        b"MDL1" + bytes(12),
        b"MDL2\1\0\0\0\0\0\0\0\1\0\0\0x",
        b"MDL2\1\0\0\0\0\0\0\0\xff\xff\xff\xff",
        b"MDL2\xff\xff\xff\xff\0\0\0\0\2\0\0\0x\0",
    ],
)
def test_a_request_that_is_none_has_no_answer(open_door: Server, request_octets: bytes) -> None:
    code = LAUNCHER.replace("[header]", f"[{request_octets!r} or b'x']").replace(
        "asked.sendall(strings)", "asked.shutdown(socket.SHUT_WR)"
    )
    done = subprocess.run(
        ["/usr/bin/python3", "-I", "-c", code, str(open_door.door), "[]", "{}"],
        input=MESSAGE, stdout=subprocess.PIPE, timeout=300, check=True, cwd="/",
        **identity(person(open_door)),
    )  # fmt: skip
    assert done.stdout == b""
    assert status_and_line(knock(open_door)) == (0, b"")
