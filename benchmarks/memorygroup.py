"""A control group whose memory is limited, for a measurement and all that it starts.

Why        what a large message costs is mostly new pages for files. Where a virtual machine gives
           freed pages back to its host, each costs more than what an agent does with it; in a group
           that is full, pages go round, for all agents alike.
Needs      root, and cgroups with a memory controller: version 2 or 1
Fails with SystemExit, which says why there can be no such group here

See also   cgroups(7)
"""

from __future__ import annotations

import os
from pathlib import Path

_TOP = Path("/sys/fs/cgroup")


def enter(limit_mib: int) -> None:
    """Go on in a child, in a group with LIMIT_MIB MiB; its parent waits, removes it and exits."""
    group = _make(limit_mib)
    child = os.fork()
    if child == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        print(f"In a group that is limited to {limit_mib} MiB of memory, files in memory included.")
        return
    _, status = os.waitpid(child, 0)
    group.rmdir()
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def _make(limit_mib: int) -> Path:
    """The new group."""
    if os.geteuid() != 0:
        raise SystemExit("only root can make a group with a memory limit")
    for parent, limit in ((_TOP / "memory", "memory.limit_in_bytes"), (_TOP, "memory.max")):
        group = parent / f"mdeliver-bench.{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(limit_mib << 20))
        except OSError:
            group.rmdir()
            continue
        return group
    raise SystemExit(f"no group with a memory limit can be made in {_TOP}: see cgroups(7)")
