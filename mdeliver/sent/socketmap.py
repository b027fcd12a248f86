"""Postfix's socketmap protocol: octets in, octets out; no sockets here.

    request   = netstring of: name SPACE key
    reply     = netstring of: "OK " value / "NOTFOUND " / "TEMP " reason / "PERM " reason
    netstring = length ":" octets ","                                      (D. J. Bernstein, 1997)

Rule 1      everything that decides on a reply stands here, so that tests can split the octets
            anywhere.
Bad request a netstring with a request that makes no sense gets PERM, and the connection goes on;
            octets that are no netstring end it, since nothing after them can be understood.
Limits      REQUEST_BYTES, as in Postfix (100 000 octets for a reply, and a key is far shorter).
See also    socketmap_table(5)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Lookup = Callable[[str, str], str | None]

REQUEST_BYTES = 10_000
_LENGTH_DIGITS = len(str(REQUEST_BYTES))


class NoMap(Exception):
    """There is no map of this name."""


class Broken(Exception):
    """The client does not speak this protocol; the connection ends."""


class Engine:
    """One connection.

    look_up  gives the value of a key in a map, None where there is none; raises NoMap, or any
             other exception where a later try may know
    """

    def __init__(self, look_up: Lookup) -> None:
        self._look_up = look_up
        self._rest = b""

    def receive(self, octets: bytes) -> bytes:
        """Take OCTETS and return the replies to every request that they complete.

        Raises Broken; what was answered before it is in its `args`.
        """
        octets = self._rest + octets
        replies: list[bytes] = []
        start = 0
        while True:
            colon = octets.find(b":", start, start + _LENGTH_DIGITS + 1)
            digits = octets[start:colon] if colon >= 0 else octets[start:]
            if colon < 0 and len(digits) <= _LENGTH_DIGITS and (digits.isdigit() or not digits):
                break
            if colon < 0 or not digits.isdigit() or int(digits) > REQUEST_BYTES:
                raise Broken(b"".join(replies))
            end = colon + 1 + int(digits)
            if len(octets) <= end:
                break
            if octets[end : end + 1] != b",":
                raise Broken(b"".join(replies))
            replies.append(netstring(self._answer(octets[colon + 1 : end])))
            start = end + 1
        self._rest = octets[start:]
        return b"".join(replies)

    def _answer(self, request: bytes) -> bytes:
        name, space, key = request.partition(b" ")
        if not space or not name:
            return b"PERM a request is a map's name, a space and a key"
        try:
            value = self._look_up(name.decode(), key.decode())
        except UnicodeDecodeError:
            return b"NOTFOUND "
        except NoMap as error:
            return f"PERM {error}".encode()
        except Exception as error:
            # Postfix keeps the message and asks again.
            return f"TEMP {type(error).__name__}: {error}".encode(errors="replace")
        return b"NOTFOUND " if value is None else b"OK " + value.encode()


def netstring(octets: bytes) -> bytes:
    """OCTETS as a netstring."""
    return b"%d:%b," % (len(octets), octets)
