"""Free TCP ports on loopback."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """COUNT ports that nobody listens on now; held together until all are known, so they differ."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def answers(port: int) -> bool:
    """Whether somebody listens on this port of 127.0.0.1."""
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", port)) == 0
