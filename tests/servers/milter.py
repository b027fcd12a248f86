"""A milter that refuses what it is told to refuse, to see what Postfix logs of it.

Refuses     recipients whose local part has "milter-hard" or "milter-soft" in it, and messages that
            have the word "milter-body" in a header field
See also    Postfix's MILTER_README; the protocol is libmilter's, version 2
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

_REPLIES = {
    b"milter-hard": b"550 5.7.1 the milter does not like this recipient",
    b"milter-soft": b"451 4.7.1 Greylisting in action, please come back later",
}


def _packets(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    with connection.makefile("rb") as stream:
        while head := stream.read(4):
            (size,) = struct.unpack("!I", head)
            body = stream.read(size)
            yield body[:1], body[1:]


def _talk(connection: socket.socket) -> None:
    suspicious = False
    for command, body in _packets(connection):
        answer = b"c"
        if command == b"O":
            answer = b"O" + struct.pack("!III", 2, 0, 0)
        elif command in (b"D", b"Q", b"A"):
            continue
        elif command == b"R":
            for word, reply in _REPLIES.items():
                if word in body:
                    answer = b"y" + reply + b"\0"
        elif command == b"L":
            suspicious = suspicious or b"milter-body" in body
        elif command == b"E" and suspicious:
            answer = b"y550 5.7.1 the milter does not like this message\0"
        connection.sendall(struct.pack("!I", len(answer)) + answer)


@contextmanager
def listening() -> Iterator[int]:
    """Serve on loopback; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        talks: list[Thread] = []

        def serve() -> None:
            while True:
                try:
                    connection, _client = door.accept()
                except OSError:
                    return
                talk = Thread(target=_talk_and_close, args=(connection,), daemon=True)
                talk.start()
                talks.append(talk)

        server = Thread(target=serve)
        server.start()
        try:
            yield int(door.getsockname()[1])
        finally:
            # Wakes accept, which closing alone would not.
            door.shutdown(socket.SHUT_RDWR)
            server.join()


def _talk_and_close(connection: socket.socket) -> None:
    with connection, suppress(ConnectionError):  # a Postfix that stops breaks off
        _talk(connection)
