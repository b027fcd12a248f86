"""A DNS server on loopback that knows one zone file, for a Postfix that asks for names.

Knows       A, MX, PTR and TXT records, CNAMEs not; "NAME TYPE VALUE" lines, "NAME broken" for
            names whose servers do not answer (SERVFAIL); all else does not exist (NXDOMAIN)
Listens on  port 53 of an address of 127/8 that is its own: resolv.conf knows no other port
"""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

RESOLV_CONF = "nameserver {}\noptions timeout:30 attempts:5\n"
"""For a program that shall ask the server at the address {}, and wait for a busy machine."""

_TYPES = {"A": 1, "PTR": 12, "MX": 15, "TXT": 16}
_NO_ERROR, _SERVER_FAILURE, _NO_SUCH_NAME = 0, 2, 3
_RESPONSE = 0x8580  # QR, AA, RD, RA


class Zone:
    """The records of a zone file."""

    def __init__(self, text: str) -> None:
        self.broken: set[str] = set()
        self.records: dict[str, list[tuple[int, bytes]]] = {}
        for line in text.splitlines():
            name, kind, *rest = line.split(maxsplit=2)
            if kind == "broken":
                self.broken.add(name)
            else:
                found = self.records.setdefault(name, [])
                found.append((_TYPES[kind], _rdata(kind, rest[0])))

    def answer(self, query: bytes) -> bytes:
        """The reply to QUERY, which has one question."""
        labels = []
        at = 12
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode("latin-1").lower())
            at += 1 + query[at]
        (asked,) = struct.unpack_from("!H", query, at + 1)
        name, question = ".".join(labels), query[12 : at + 5]
        code = _NO_ERROR
        if name in self.broken:
            code = _SERVER_FAILURE
        elif not any(known == name or known.endswith(f".{name}") for known in self.records):
            code = _NO_SUCH_NAME
        found = [rdata for kind, rdata in self.records.get(name, []) if kind == asked]
        reply = query[:2] + struct.pack("!5H", _RESPONSE | code, 1, len(found), 0, 0) + question
        for rdata in found:
            reply += b"\xc0\x0c" + struct.pack("!HHIH", asked, 1, 60, len(rdata)) + rdata
        return reply


def _rdata(kind: str, value: str) -> bytes:
    if kind == "A":
        return ipaddress.IPv4Address(value).packed
    if kind == "TXT":
        strings = [value[at : at + 255].encode() for at in range(0, len(value), 255)]
        return b"".join(bytes([len(string)]) + string for string in strings)
    if kind == "MX":
        return struct.pack("!H", 10) + _encoded(value)
    return _encoded(value)


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(x)]) + x.encode() for x in name.split(".")) + b"\0"


def _bound(door: socket.socket) -> str:
    """Bind DOOR to an address that is its own: others on this machine do the same."""
    while True:
        address = f"127.{secrets.randbelow(250) + 2}.{secrets.randbelow(256)}.53"
        try:
            door.bind((address, 53))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return address


@contextmanager
def served(text: str) -> Iterator[str]:
    """Serve the zone TEXT; gives the address of the server."""
    zone = Zone(text)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        address = _bound(door)

        def serve() -> None:
            while True:
                query, client = door.recvfrom(2048)
                if not query:
                    return
                door.sendto(zone.answer(query), client)

        server = Thread(target=serve)
        server.start()
        try:
            yield address
        finally:
            # An empty datagram is the word to stop; closing would leave the thread in recvfrom.
            door.sendto(b"", (address, 53))
            server.join()
