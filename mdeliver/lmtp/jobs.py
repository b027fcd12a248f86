"""One message for one recipient, as the front hands it to a worker, and as a worker delivers it.

Letter    the message with the lines before it that local(8) would add, so that a mailbox looks the
          same whichever way mail comes: Return-Path, X-Original-To (where ORCPT says so),
          Delivered-To. Nothing in them changes between two attempts. There is no Received line: its
          time would make another message of every attempt.
From_     made where the MTA has signed the message with a Received line or has told its queue id:
          then the same octets are the same message, whenever they come (transaction.py).
Digest    of the message as it came; the front has it, since it sees each message once.
See also  frames.py, letter.py; RFC 5321 4.4; local(8) DELIVERY
"""

from __future__ import annotations

import re
from operator import attrgetter

from mdeliver import durable, limits
from mdeliver.deliver.mboxrd import make_from_line
from mdeliver.letter import NO_SPOOL, Letter, head_of
from mdeliver.lmtp import frames
from mdeliver.record import Record
from mdeliver.system import from_octets, to_octets

_DOT_ATOM = re.compile(r"[^\s\"(),:;<>@\[\]\\\x00-\x1f.]+(\.[^\s\"(),:;<>@\[\]\\\x00-\x1f.]+)*")


class Job(Record):
    """One delivery to be made.

    number  names it between front and worker
    home    "" where the worker knows it
    digest  of the message as it came
    size    its octets
    octets  all of it, or b"" where a descriptor comes along
    """

    number: int
    home: str
    sender: str
    recipient: str
    original: str
    extension: str
    queue_id: str
    client_address: str
    client_hostname: str
    client_helo: str
    client_protocol: str
    digest: bytes
    size: int
    octets: bytes


_values_of = attrgetter(*Job._fields)


def pack_job(job: Job) -> bytes:
    """JOB as a packet."""
    number, *texts, digest, size, octets = _values_of(job)
    fields = map(to_octets, texts)
    return frames.pack(frames.JOB, b"%d" % number, *fields, digest, b"%d" % size, octets)


def unpack_job(fields: list[bytes]) -> Job:
    """The job of a packet's FIELDS. Raises ValueError."""
    if len(fields) != len(Job._fields):
        raise ValueError(f"a job has {len(Job._fields)} fields, not {len(fields)}")
    number, *texts, digest, size, octets = fields
    values = (int(number), *map(from_octets, texts), digest, int(size), octets)
    # Counted above, and in the order of the fields, which no type says.
    job = Job(*values)  # type: ignore[arg-type]
    if job.size < 0 or (job.octets and len(job.octets) != job.size):
        raise ValueError("a job's size is not that of its message")
    return job


def letter_for(job: Job, fd: int, now_s: float) -> Letter:
    """The letter that JOB delivers.

    fd     where the message is if it is not in the job, else -1; the letter closes it
    now_s  time of this attempt
    """
    added = added_lines(job)
    if fd < 0:
        octets = added + job.octets
        head, cut = head_of(octets)
        size, memory, front, body_at = len(octets), octets, b"", 0
    else:
        start, cut = head_of(durable.read_at(fd, limits.HEAD_BYTES + 1, 0))
        head = front = added + start
        size, memory, body_at = len(added) + job.size, None, len(start)
    signed = job.queue_id or b"\nreceived:" in head.lower()
    from_line = make_from_line(job.sender, now_s) if signed else b""
    spool = fd if fd >= 0 else NO_SPOOL
    return Letter(from_line, head, cut, size, job.digest, memory, spool, front, body_at)


def added_lines(job: Job) -> bytes:
    """What stands before the message."""
    lines = f"Return-Path: <{external(job.sender)}>\n"
    if job.original:
        lines += f"X-Original-To: {job.original}\n"
    return to_octets(f"{lines}Delivered-To: {job.recipient}\n")


def external(address: str) -> str:
    """ADDRESS as RFC 5321 writes it: a local part that is no dot-atom is quoted."""
    local, at, domain = address.rpartition("@")
    if not at or _DOT_ATOM.fullmatch(local):
        return address
    quoted = local.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}"@{domain}'
