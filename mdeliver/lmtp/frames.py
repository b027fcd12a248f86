"""What the server's processes tell each other: packets of a kind and fields, and descriptors.

Sockets   UNIX, SOCK_SEQPACKET: a packet comes whole or not at all, with its descriptors
Packet    one octet for the kind, one for the number of fields, the length of each (4 octets), then
          the fields
Trusts    nothing: a packet that is no such thing raises ValueError. The front, which reads what
          strangers write, sends packets to workers that run as users.

    front to master    WANT name lane         a worker for this account; the lane tells several
                       KILL name lane         this one does not answer
    master to front    WORKER name lane [fd]  here it is; without descriptor: the third field is why
                       FINISH                 take no further sessions, end when all are over
    front to worker    JOB id ...             deliver (jobs.py); a large message as descriptor
                       ROOM id home size      would a message of this size fit?
                       CANCEL id              nobody waits for this job any more
    worker to front    DONE id reply          what became of it
                       BYE                    nothing to do: hang up, if you have nothing either
    master to worker   FRONT [fd]             jobs come from there
                       DOOR [fd]              a launcher waits at the other end
                       RETIRE                 end when idle: settings have changed, another follows
    worker to master   BYE                    as above
"""

from __future__ import annotations

import array
import socket
from struct import Struct, error

from mdeliver import durable

WANT, KILL, WORKER, FINISH = b"W", b"K", b"w", b"F"
JOB, ROOM, CANCEL, DONE, BYE = b"J", b"R", b"C", b"d", b"b"
FRONT, DOOR, RETIRE = b"f", b"D", b"r"

PACKET_BYTES = 160 << 10
"""The largest packet; what a socket takes at once by default is more."""

INLINE_BYTES = 100 << 10
"""Messages up to this size travel within the packet."""

_FIELDS = 16
"""No packet has more."""

_LENGTHS = tuple([Struct(f"<B{count}I") for count in range(_FIELDS + 1)])
_SEND_BUFFER_FORCE = 32
_BUFFER_BYTES = 1 << 20

ORDERS_BYTES = 32 << 10
"""For what the master tells a worker. Each packet counts with all that the kernel keeps about it:
some eighty launchers can wait in there, further ones better go the direct way. Their descriptors
are root's while they wait: without CAP_SYS_RESOURCE it has no more of these than RLIMIT_NOFILE."""

# Not CMSG_SPACE: with the room for alignment a second one would come, and stay open for ever.
_ONE_DESCRIPTOR = socket.CMSG_LEN(4)
# As a number: `socket` makes members of an enum of these, each time they are joined.
_CUT = int(socket.MSG_TRUNC | socket.MSG_CTRUNC)


def pack(kind: bytes, *fields: bytes) -> bytes:
    """One packet."""
    lengths = _LENGTHS[len(fields)].pack(len(fields), *map(len, fields))
    return b"".join((kind, lengths, *fields))


def unpack(packet: bytes) -> tuple[bytes, list[bytes]]:
    """Kind and fields. Raises ValueError."""
    try:
        form = _LENGTHS[packet[1]]
        _count, *lengths = form.unpack_from(packet, 1)
    except (IndexError, error) as broken:
        raise ValueError(str(broken)) from None
    at = 1 + form.size
    if at + sum(lengths) != len(packet):
        raise ValueError("the fields are not as long as their packet")
    fields = []
    for length in lengths:
        fields.append(packet[at : at + length])
        at += length
    return packet[:1], fields


def pair(octets: int = _BUFFER_BYTES) -> tuple[socket.socket, socket.socket]:
    """Two connected ends with room for OCTETS under way; as root even for many."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        end.setblocking(False)
        try:
            end.setsockopt(socket.SOL_SOCKET, _SEND_BUFFER_FORCE, octets)
        except PermissionError:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, octets)
    return ends


def send(channel: socket.socket, packet: bytes, fd: int = -1) -> bool:
    """Send PACKET, and FD if it is one; false where there is no room now. Raises OSError."""
    try:
        if fd < 0:
            channel.send(packet)
        else:
            rights = array.array("i", [fd])
            channel.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    except BlockingIOError:
        return False
    return True


def receive(channel: socket.socket) -> tuple[bytes, int] | None:
    """The next packet and its descriptor, -1 if none came; b"" at the end, None if none is there.

    Raises OSError.
    """
    try:
        packet, ancillary, flags, _ = channel.recvmsg(PACKET_BYTES, _ONE_DESCRIPTOR)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b"", -1
    fd = -1
    for level, kind, octets in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fd = array.array("i", octets[:4])[0]
    if flags & _CUT:
        if fd >= 0:
            durable.close_read(fd)
        raise ValueError("a packet was cut")
    return packet, fd
