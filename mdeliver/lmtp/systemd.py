"""What systemd asks of a service: sockets that it has bound, and being told of readiness.

Sockets    LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES: descriptors from 3 on (sd_listen_fds(3)). One
           named "launcher" is the launcher's door, all others speak LMTP.
Fails with Deferral where one of them is no listening stream socket: ListenDatagram, Accept=yes
Readiness  one datagram to NOTIFY_SOCKET (sd_notify(3)); a lost one is not worth an error
"""

from __future__ import annotations

import os
import socket

from mdeliver.outcome import Deferral

_FIRST = 3
LAUNCHER = "launcher"


def inherited_sockets() -> list[tuple[str, socket.socket]]:
    """Name and socket of each that systemd hands over; the variables are used up.

    Raises Deferral.
    """
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    names = os.environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for number in range(int(count)):
        found.append((names[number] if number < len(names) else "", _listening(_FIRST + number)))
    return found


def _listening(fd: int) -> socket.socket:
    try:
        inherited = socket.socket(fileno=fd)
        listens = inherited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except OSError as error:
        raise Deferral(f"LISTEN_FDS: descriptor {fd}: {error.strerror}", "4.3.5") from None
    if not listens or inherited.type != socket.SOCK_STREAM:
        inherited.close()
        raise Deferral(f"LISTEN_FDS: descriptor {fd} is no listening stream socket", "4.3.5")
    os.set_inheritable(fd, False)
    return inherited


def notify(words: str) -> None:
    """Tell systemd WORDS, such as READY=1; nothing happens where nobody asked."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        try:
            told.connect("\0" + path[1:] if path.startswith("@") else path)
            told.send(words.encode())
        except OSError:
            pass
