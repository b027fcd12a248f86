"""A worker between two fronts: after a reload another one brings jobs, with its own numbers."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from mdeliver.lmtp import frames, worker
from mdeliver.lmtp.jobs import Job, pack_job
from mdeliver.lmtp.settings import Lmtp
from mdeliver.settings import Site


def job(number: int) -> bytes:
    octets = b"Received: by mx\nSubject: %d\n\nhello\n" % number
    return pack_job(
        Job(
            number, "", "a@example.net", "ann@example.org", "", "", "", "", "", "", "",
            b"%d" % number, len(octets), octets,
        )
    )  # fmt: skip


def new_front(control: socket.socket) -> socket.socket:
    ours, theirs = frames.pair()
    with theirs:
        frames.send(control, frames.pack(frames.FRONT), theirs.fileno())
    return ours


def test_a_front_hears_of_its_own_jobs_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_LOOK_S", -1.0)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    rules = tmp_path / ".config" / "mdeliver" / "rules"
    rules.parent.mkdir(parents=True)
    rules.write_text('mailbox imap = maildir "~/Maildir"\ninbox = imap\n')
    control, theirs = frames.pair()
    identity = worker.Identity("ann", os.getuid(), os.getgid(), str(tmp_path), "ann")
    this = worker.Worker(identity, Lmtp(), Site(hostname="host", syslog=""), theirs)
    with control, new_front(control) as old:
        this._take_packets(0)
        frames.send(old, job(1))
        this._take_packets(0)
        with new_front(control) as new:
            # The other one comes while job 1 waits for what else there is.
            this._go_round()
            assert frames.receive(new) is None
            assert frames.receive(old) == (b"", -1)
            frames.send(new, job(1))
            this._take_packets(0)
            this._go_round()
            received = frames.receive(new)
            assert received is not None
            kind, (number, reply) = frames.unpack(received[0])
            assert (kind, number, reply[:3]) == (frames.DONE, b"1", b"250")
    # Brought again, it was known.
    assert len(list((tmp_path / "Maildir" / "new").iterdir())) == 1
    # Both ends are gone: it ends, and lets go of all it has.
    this.run()
