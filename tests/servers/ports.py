"""Free TCP ports on loopback, and who listens.

A server binds its port some time after it was chosen, and again whenever it is restarted: nobody
else may take the port in between. So ports are none that the kernel gives to whoever connects, and
each is claimed, for as long as this process lives, by a name that only one process can have.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path

_FIRST = 20_000
_CLAIMED: list[socket.socket] = []


def free_ports(count: int) -> list[int]:
    """COUNT ports of 127.0.0.1 that nobody listens on, and that no other test will get."""
    words = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()
    last = max(int(words[0]), _FIRST + 4000) - 1
    found: list[int] = []
    while len(found) < count:
        port = _FIRST + secrets.randbelow(last - _FIRST)
        if _claim(port):
            found.append(port)
    return found


def _claim(port: int) -> bool:
    """Whether PORT is this process's from now on; an abstract name vanishes with its process."""
    claim = socket.socket(socket.AF_UNIX)
    try:
        claim.bind(f"\0mdeliver-tests-port-{port}")
        with socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
    except OSError:
        claim.close()
        return False
    _CLAIMED.append(claim)
    return True


def answers(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0


def answers_at(path: Path) -> bool:
    """Whether somebody listens on this UNIX socket: its file is there a moment earlier."""
    with socket.socket(socket.AF_UNIX) as asked:
        return asked.connect_ex(str(path)) == 0
