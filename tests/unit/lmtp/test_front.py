"""The front where the kernel has nothing left to give."""

from __future__ import annotations

import os
import resource

from mdeliver.lmtp import frames
from mdeliver.lmtp.front import Front
from mdeliver.lmtp.settings import Lmtp
from mdeliver.settings import Site


def test_no_descriptor_for_a_worker_is_no_end() -> None:
    """Who waits for that worker is put off in a while; all others are served."""
    ours, theirs = frames.pair()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ours, theirs:
        front = Front(Lmtp(), Site(), [], theirs, lambda _words: None)
        frames.send(ours, frames.pack(frames.WORKER, b"ann", b"0", b""), ours.fileno())
        next_fd = os.dup(0)
        os.close(next_fd)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_fd, hard))
            front._master_ready(0)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        after = [front._finishing]
        frames.send(ours, frames.pack(frames.FINISH))
        front._master_ready(0)
        after.append(front._finishing)
        front._epoll.close()
    assert after == [False, True]
