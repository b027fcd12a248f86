"""Wait for a child process, take what it writes, and measure its time.

Guarantee   when this returns or raises, the child has ended, or has been sent SIGKILL with its
            whole group and does not die. What it left running, and has not been told to stop, is
            left alone.
Waits       for its end and its pipes at once (pidfd_open(2), Linux 5.3); an older kernel is asked
            again and again.
Fails with  OSError where the kernel refuses; the child is killed then.
See also    programs.py
"""

from __future__ import annotations

import errno
import time

from mdeliver import durable, limits, system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Readers: TypeAlias = Mapping[int, Callable[[bytes], bool]]
    """Pipes, and who takes what comes out of each; False: it is too much."""

TOO_MUCH = "it wrote too much"

_TICK_S = 0.02
"""How often a kernel is asked that cannot tell us."""

_DYING_S = 5
"""For how long the end of what was killed is waited for."""

_SIGTERM, _SIGKILL = 15, 9


def attend(child: int, readers: Readers, limit_s: float) -> int | str:
    """Wait until CHILD, a group of its own, has ended, but no longer than LIMIT_S.

    readers  the pipes it writes to; what is in them by its end is taken too
    Returns its exit status (negative: the signal that killed it), or in words why it has none.
    """
    process = None
    try:
        process = _descriptor_of(child)
        return _wait(child, process, readers, limit_s)
    except BaseException:
        _signal_group(child, _SIGKILL)
        _reap_killed(child)
        raise
    finally:
        if process is not None:
            durable.close_read(process)


def _wait(child: int, process: int | None, readers: Readers, limit_s: float) -> int | str:
    import select

    end_s = time.monotonic() + limit_s
    poll = select.poll()
    for fd in readers:
        system.set_blocking(fd, False)
        poll.register(fd, select.POLLIN)
    if process is not None:
        poll.register(process, select.POLLIN)
    while True:
        left_s = end_s - time.monotonic()
        if left_s <= 0:
            _end(child, process)
            return f"still running after {limit_s:.3g} s"
        wait_s = left_s if process is not None else min(left_s, _TICK_S)
        ready = {fd for fd, _event in poll.poll(int(wait_s * 1000) + 1)}
        for fd in ready & readers.keys():
            piece = system.read(fd, limits.COPY_BYTES)
            if not piece:
                poll.unregister(fd)
            elif not readers[fd](piece):
                _end(child, process)
                return TOO_MUCH
        if process is None or process in ready:
            status = _reap(child, wait=False)
            if status is not None:
                return status if _emptied(readers) else TOO_MUCH


def _emptied(readers: Readers) -> bool:
    """Take what is in the pipes still; whether none was too much."""
    for fd, take in readers.items():
        try:
            while piece := system.read(fd, limits.COPY_BYTES):
                if not take(piece):
                    return False
        except BlockingIOError:
            # Whatever the program left running has it open.
            pass
    return True


def _end(child: int, process: int | None) -> None:
    """End CHILD's group: politely, then not."""
    import select

    _signal_group(child, _SIGTERM)
    if process is not None:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        poll.poll(limits.PROGRAM_GRACE_S * 1000)
    else:
        # Without a pidfd there is nothing to poll: it has all of its grace.
        time.sleep(limits.PROGRAM_GRACE_S)
    # It has not been reaped: nobody else can have its number yet.
    _signal_group(child, _SIGKILL)
    _reap(child, wait=True)


def _reap_killed(child: int) -> None:
    """Wait for the end of CHILD, which was killed; not for ever, as for one that waits for NFS.

    Whoever lives on, as a worker does, would have it for a child and in its count of processes.
    """
    end_s = time.monotonic() + _DYING_S
    step_s = 0.0005
    while _reap(child, wait=False) is None and time.monotonic() < end_s:
        time.sleep(step_s)
        step_s = min(2 * step_s, _TICK_S)


def _descriptor_of(child: int) -> int | None:
    """What poll(2) says is readable once CHILD has ended; None where the kernel has no such."""
    try:
        return system.pidfd_open(child)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM):
            return None
        raise


def _signal_group(child: int, signal: int) -> None:
    try:
        system.killpg(child, signal)
    except OSError:
        # Gone; or it has no group of its own yet, and will find its pipes closed.
        pass


def _reap(child: int, *, wait: bool) -> int | str | None:
    """How CHILD ended, None if it has not."""
    try:
        pid, status = system.waitpid(child, 0 if wait else system.WNOHANG)
    except ChildProcessError:
        return "its end was not seen"
    return system.waitstatus_to_exitcode(status) if pid else None
