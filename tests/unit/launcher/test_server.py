"""The launcher and the server: what it sends, what it makes of answers, when it does not ask."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from mdeliver.lmtp import door
from tests.launchers import DONE, KINDS, Kind, build, installation, session_directory
from tests.local8 import Answer
from tests.unit.launcher.test_contract import answer

TEMPFAIL = 75
DIRECT = f"os._exit({DONE})"
"""The agent of the direct path: it says done."""

Launch = Callable[..., Answer]


class Server:
    """Takes one connection after the other, and answers each as it was told."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reply = b""
        self.greeting = packed(door.READY)
        self.requests: list[tuple[list[str], dict[str, str], bytes]] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                try:
                    connection.sendall(self.greeting)
                    arguments, environ, fd = door.read_request(connection)
                except (door.Malformed, OSError):
                    continue
                with open(fd, "rb") as standard_input:
                    self.requests.append((arguments, environ, standard_input.read()))
                connection.sendall(self.reply)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "door")
    made.thread.start()
    yield made
    made.close()


@pytest.fixture(params=[kind for kind in KINDS if kind != "script"])
def kind(request: pytest.FixtureRequest) -> Kind:
    """A launcher that knows of servers."""
    kind: Kind = request.param
    return kind


@pytest.fixture
def launch(kind: Kind, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """launch(*ARGUMENTS): one run, whose direct path would succeed."""
    return _launching(
        build(kind, session_directory(tmp_path_factory), "SERVER_WAIT_S=99"), tmp_path
    )


@pytest.fixture
def impatient(kind: Kind, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Launch:
    """The same, for servers that say nothing."""
    return _launching(build(kind, session_directory(tmp_path_factory), "SERVER_WAIT_S=2"), tmp_path)


def _launching(launcher: Path, tmp_path: Path) -> Launch:
    command = installation(tmp_path / "prefix", launcher, DIRECT)

    def run(
        *arguments: str,
        stdin: bytes = b"Subject: x\n\nhello\n",
        environ: Mapping[str, str] | None = None,
    ) -> Answer:
        return answer([*command, *arguments], stdin, environ)

    return run


def packed(status: int, line: bytes = b"", magic: bytes = b"MDL2") -> bytes:
    return struct.pack("<4sBBH", magic, status, 0, len(line)) + line


@pytest.fixture
def asked(launch: Launch, server: Server) -> Callable[[bytes], Answer]:
    """asked(REPLY): a run in which the server says REPLY; the direct path says done."""

    def run(reply: bytes) -> Answer:
        server.reply = reply
        got = launch("--server", str(server.path), "--user", "ann")
        assert len(server.requests) == 1
        return got

    return run


def test_arguments_environment_and_input_reach_the_server(launch: Launch, server: Server) -> None:
    server.reply = packed(0)
    message = b"Subject: x\n\n" + b"line\n" * 100_000
    got = launch(f"--server={server.path}", "--sender", "", stdin=message)
    assert got == Answer(0, b"")
    ((arguments, environ, octets),) = server.requests
    assert arguments == [f"--server={server.path}", "--sender", ""]
    assert environ == {"PATH": "/usr/bin:/bin", "USER": "ann"}
    assert octets == message


def test_as_much_as_the_server_takes_reaches_it(launch: Launch, server: Server) -> None:
    server.reply = packed(0)
    arguments = ["--server", str(server.path), "", "x" * 60_000]
    left = door.REQUEST_BYTES - sum(len(word) + 1 for word in arguments) - len("LONG=") - 1
    environ = {"LONG": "y" * left}
    assert launch(*arguments, environ=environ) == Answer(0, b"")
    assert server.requests == [(arguments, environ, b"Subject: x\n\nhello\n")]
    assert launch(*arguments, environ={"LONG": "y" * (left + 1)}) == Answer(0, b"")
    assert len(server.requests) == 1


def test_what_is_kept_of_the_environment_reaches_the_server(launch: Launch, server: Server) -> None:
    """Wherever the gaps are that the rest has left; and where they are many, the agent."""
    server.reply = packed(0)
    for gaps, asked in ((20, 1), (60, 1)):
        kept = {f"KEPT_{n}": "x" * n for n in range(gaps)}
        environ: dict[str, str] = {}
        for name, value in kept.items():
            environ |= {name: value, f"LD_{name}": value}
        assert launch("--server", str(server.path), environ=environ) == Answer(0, b"")
        assert len(server.requests) == asked
    assert server.requests[0][1] == {f"KEPT_{n}": "x" * n for n in range(20)}


def test_a_rejection_keeps_its_words(asked: Callable[[bytes], Answer]) -> None:
    assert asked(packed(77, b"5.7.1 no\x07 thanks")) == Answer(77, b"5.7.1 no? thanks\n")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (packed(75, b"4.2.2 over quota"), b"4.2.2 over quota\n"),
        (packed(77, b"4.2.2 over quota"), b"4.2.2 over quota\n"),
        (packed(77, b"no status"), b"4.3.0 no status\n"),
        (packed(75), b"4.3.0 mdeliver: the server gave no reason\n"),
        (packed(1, b"5.7.1 not a status of ours"), b"4.3.0 5.7.1 not a status of ours\n"),
        (packed(40), b"4.3.0 mdeliver: the server gave no reason\n"),
    ],
)
def test_all_else_that_it_says_defers(
    asked: Callable[[bytes], Answer], reply: bytes, words: bytes
) -> None:
    assert asked(reply) == Answer(TEMPFAIL, words)


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"MDL2",
        packed(0)[:-1],
        packed(0, magic=b"MDL1"),
        packed(77, b"5.7.1 no")[:-1],
        struct.pack("<4sBBH", b"MDL2", 77, 0, 1001) + b"5.7.1 " + b"x" * 995,
        struct.pack("<4sBBH", b"MDL2", 0, 1, 0),
    ],
    ids=["nothing", "magic", "short", "other magic", "short line", "long line", "no zero"],
)
def test_no_whole_answer_defers_and_nothing_is_done_twice(
    asked: Callable[[bytes], Answer], reply: bytes
) -> None:
    got = asked(reply)
    line = b"4.3.0 mdeliver: the server ended in the middle of this delivery"
    assert got == Answer(TEMPFAIL, line + b"; the message stays in the queue\n")


def test_a_server_that_declines_leaves_the_direct_path(asked: Callable[[bytes], Answer]) -> None:
    assert asked(packed(door.DECLINED)) == Answer(0, b"")


@pytest.mark.parametrize(
    "greeting",
    [packed(door.DECLINED), b"", b"MDL2", packed(0), packed(door.READY, magic=b"MDL1")],
    ids=["declined", "end", "half", "answer", "other version"],
)
def test_a_server_that_is_not_ready_gets_nothing(
    launch: Launch, server: Server, greeting: bytes
) -> None:
    server.greeting = greeting
    server.reply = packed(77, b"5.7.1 no")
    assert launch("--server", str(server.path)) == Answer(0, b"")
    assert server.requests == []


def test_a_server_that_stays_silent_is_waited_for_a_while(
    impatient: Launch, tmp_path: Path
) -> None:
    """It must not get standard input meanwhile: nobody could take that back from its queue."""
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        message = b"Subject: x\n\n" + b"line\n" * 100_000
        assert impatient("--server", str(tmp_path / "silent"), stdin=message) == Answer(0, b"")
        connection, _ = silent.accept()
        with connection:
            assert connection.recv(1) == b"", "it was sent something"


def test_without_a_server_the_direct_path_is_taken(launch: Launch, tmp_path: Path) -> None:
    nobody = tmp_path / "nobody"
    for name in ("", str(nobody), f"/{'x' * 200}"):
        assert launch("--server", name) == Answer(0, b"")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(nobody))
        assert launch("--server", str(nobody)) == Answer(0, b"")


def test_a_busy_server_is_not_waited_for(launch: Launch, tmp_path: Path) -> None:
    path = str(tmp_path / "busy")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)
        waiting = []
        for _ in range(3):
            waiting.append(socket.socket(socket.AF_UNIX))
            waiting[-1].setblocking(False)
            try:
                waiting[-1].connect(path)
            except BlockingIOError:
                break
        assert launch("--server", path) == Answer(0, b"")
        for connection in waiting:
            connection.close()


def test_what_is_too_long_for_the_server_goes_the_direct_path(
    launch: Launch, server: Server
) -> None:
    long = ["x" * 100_000, "y" * 100_000]
    assert launch("--server", str(server.path), *long) == Answer(0, b"")
    assert server.requests == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_strangers_server_is_not_asked(launch: Launch, tmp_path: Path) -> None:
    path = tmp_path / "stranger"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        # Who listens is who called listen(2).
        os.setuid(65534)
        listener.listen()
        os.write(tell, b"x")
        connection, _ = listener.accept()
        os._exit(len(connection.recv(1)))
    assert os.read(ready, 1) == b"x"
    listener.close()
    assert launch("--server", str(path)) == Answer(0, b"")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "it was sent something"
    os.close(ready)
    os.close(tell)
