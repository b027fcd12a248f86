"""One client's connection, plain or TLS, that never waits.

Plain and Tls offer the same: `read` gives octets, b"" at the end and None where nothing is there
now; `write` says how many octets went out. Both raise OSError where the connection is broken.
`close` says so to a client that speaks TLS, if it takes that at once.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
from contextlib import suppress

READ_BYTES = 64 << 10


class Plain:
    """A connection without TLS."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def read(self) -> bytes | None:
        """Octets from the client."""
        try:
            return self.sock.recv(READ_BYTES)
        except BlockingIOError:
            return None

    def write(self, octets: bytes) -> int:
        """Send as many of OCTETS as go out now."""
        try:
            return self.sock.send(octets)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Let go of the connection."""
        self.sock.close()


class Tls:
    """A connection on which TLS begins, or has begun: the handshake is part of reading."""

    def __init__(self, plain: Plain, context: ssl.SSLContext) -> None:
        self.sock = context.wrap_socket(
            plain.sock, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
        )
        self._shaken = False

    def read(self) -> bytes | None:
        """Octets from the client."""
        try:
            if not self._shaken:
                self.sock.do_handshake()
                self._shaken = True
            return self.sock.recv(READ_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def write(self, octets: bytes) -> int:
        """Send as many of OCTETS as go out now. Raises OSError before the handshake is over."""
        if not self._shaken:
            # To wait until the socket takes it would be no wait: it does, and TLS does not.
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        try:
            return self.sock.send(octets)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0

    def close(self) -> None:
        """Say that this is the end, wait for no answer, and let go of the connection."""
        with self.sock, suppress(OSError, ValueError):
            self.sock.unwrap()


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """What STARTTLS uses. Raises OSError, with words, where the files are no such thing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client may send what is left of an earlier buffer at another place of memory.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(certificate, key)
    return context
