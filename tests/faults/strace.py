"""One fault at one system call of another program, injected from outside with strace.

Points      a clean run under strace gives every call of every process; a Point is the n-th call
            of one name. strace counts for each process apart, so one point may be reached in two
            processes: `fired` says how often it happened.
Faults      an error in the call's place (it is not carried out), or SIGKILL before it
See also    strace(1), "tampering"
"""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.local8 import Answer, Person, identity
from tests.waiting import wait_for

KILL = "SIGKILL"

_CALL = re.compile(r"^(\d+) +(\w+)\(", re.MULTILINE)
_KILLED = re.compile(r"^\d+ +\+\+\+ killed by SIGKILL", re.MULTILINE)

# What each call may answer in bad times, by its manual page. Errors that only a caller's own
# mistake could bring (EBADF, EFAULT) are left out; what is not listed gets _OTHER.
_DISK = ("ENOSPC", "EIO", "EDQUOT")
_ERRORS: Mapping[str, tuple[str, ...]] = {
    "openat": ("EMFILE", "ENOSPC", "EIO", "ENOMEM"),
    "open": ("EMFILE", "ENOSPC", "EIO", "ENOMEM"),
    "read": ("EIO", "EINTR", "ENOMEM"),
    "readv": ("EIO", "EINTR"),
    "pread64": ("EIO", "EINTR"),
    "readlink": ("EIO", "ENOMEM"),
    "write": (*_DISK, "EINTR"),
    "writev": (*_DISK, "EINTR"),
    "pwrite64": (*_DISK, "EINTR"),
    "pwritev": (*_DISK, "EINTR"),
    "copy_file_range": (*_DISK, "ENOMEM"),
    "sendfile": ("EIO", "ENOMEM", "EINTR"),
    "fsync": _DISK,
    "fdatasync": _DISK,
    "ftruncate": ("EIO", "EINTR"),
    "fallocate": _DISK,
    "close": ("EIO", "EINTR", "ENOSPC", "EDQUOT"),
    "fcntl": ("ENOLCK", "EINTR", "EAGAIN"),
    "flock": ("ENOLCK", "EINTR"),
    "link": (*_DISK, "ENOMEM"),
    "linkat": (*_DISK, "ENOMEM"),
    "rename": (*_DISK, "ENOMEM"),
    "renameat": (*_DISK, "ENOMEM"),
    "renameat2": (*_DISK, "ENOMEM"),
    "unlink": ("EIO", "ENOMEM"),
    "unlinkat": ("EIO", "ENOMEM"),
    "mkdir": (*_DISK, "ENOMEM"),
    "mkdirat": (*_DISK, "ENOMEM"),
    "mmap": ("ENOMEM",),
    "mremap": ("ENOMEM",),
    "mprotect": ("ENOMEM",),
    "munmap": ("ENOMEM",),
    "brk": ("ENOMEM",),
    "execve": ("ENOMEM", "EIO", "E2BIG", "ENOENT"),
    "fork": ("EAGAIN", "ENOMEM"),
    "vfork": ("EAGAIN", "ENOMEM"),
    "clone": ("EAGAIN", "ENOMEM"),
    "clone3": ("EAGAIN", "ENOMEM"),
    "wait4": ("EINTR",),
    "pipe": ("EMFILE", "ENFILE"),
    "pipe2": ("EMFILE", "ENFILE"),
    "dup": ("EMFILE",),
    "dup2": ("EBUSY", "EINTR"),
    "dup3": ("EBUSY", "EINTR"),
    "socket": ("EMFILE", "ENOMEM"),
    "connect": ("ECONNREFUSED", "EINTR"),
    "getrandom": ("EINTR", "EAGAIN"),
    "poll": ("EINTR", "ENOMEM"),
    "getdents64": ("EIO",),
    "lseek": ("EIO",),
}
_OTHER = ("ENOMEM", "EIO")

ALWAYS = ("ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "EINTR", "ENOMEM")
"""What each call is made to answer besides where all is tried, whether or not a kernel does so."""

# Never come back, or are no way for the kernel to refuse: only a kill makes sense.
_NO_ERRORS = frozenset({"exit", "exit_group", "rt_sigreturn", "restart_syscall", "arch_prctl"})


class Point(NamedTuple):
    """One fault: WHAT (an errno's name or KILL) at the NTH call of a name."""

    call: str
    nth: int
    what: str

    def __str__(self) -> str:
        return f"{self.call}#{self.nth}:{self.what}"


class Struck(NamedTuple):
    """What a run with a fault came to.

    answer  of the program
    fired   how often the fault really happened
    where   strace's line of the call that was struck, for the report
    """

    answer: Answer
    fired: int
    where: str


def trace(
    log: Path,
    options: Sequence[str],
    command: Sequence[str],
    standard_input: bytes,
    environ: Mapping[str, str],
    person: Person,
    timeout_s: float,
    *,
    cwd: str = "/",
) -> Answer:
    """Run COMMAND as PERSON under strace with OPTIONS; the trace goes to LOG."""
    with subprocess.Popen(
        ["/usr/bin/strace", "-f", "-qq", "-s", "96", "-o", str(log), *options, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environ),
        cwd=cwd,
        **identity(person),
    ) as process:
        try:
            output, _ = process.communicate(standard_input, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            # strace passes SIGTERM on to nobody; the tracees die with their tracer's SIGKILL only
            # with --kill-on-exit, which this strace may not know. They are ours to end.
            _end_tracees(log)
            process.kill()
            raise
        return Answer(process.returncode, output)


def _end_tracees(log: Path) -> None:
    import os
    import signal

    seen = {int(pid) for pid in re.findall(r"^(\d+) ", log.read_text(), re.MULTILINE)}
    for pid in seen:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue


def points_of(trace_text: str, *, more: Sequence[str] = ()) -> list[Point]:
    """Every fault that the run in TRACE_TEXT could have suffered, in a fixed order.

    more  errors to be tried at each call besides those that its manual page has
    """
    most = _most_calls(trace_text)
    return [
        Point(call, nth, what)
        for call in sorted(most)
        for nth in range(1, most[call] + 1)
        for what in faults_for(call, more)
    ]


def _most_calls(trace_text: str) -> Counter[str]:
    """How often each call was made by the process that made it most often."""
    counts: dict[str, Counter[str]] = {}
    for pid, call in _CALL.findall(trace_text):
        counts.setdefault(pid, Counter())[call] += 1
    # The first process's first execve is strace's own way in: it is neither counted nor injected.
    first = next(iter(counts.values()), Counter())
    if first["execve"]:
        first["execve"] -= 1
    most: Counter[str] = Counter()
    for of_process in counts.values():
        most |= of_process
    return most


def point_after(trace_text: str, argument: str) -> Point | None:
    """The kill at the call that follows the write of ARGUMENT, in the same process."""
    counts: dict[str, Counter[str]] = {}
    written = ""
    for line in trace_text.splitlines():
        found = _CALL.match(line)
        if found is None:
            continue
        pid, call = found.groups()
        counts.setdefault(pid, Counter())[call] += 1
        if pid == written:
            return Point(call, counts[pid][call], KILL)
        if call in ("write", "writev", "pwrite64") and argument in line:
            written = pid
    return None


def faults_for(call: str, more: Sequence[str] = ()) -> tuple[str, ...]:
    """What may happen to a call of this name; MORE errors are tried besides its own."""
    if call in _NO_ERRORS:
        return (KILL,)
    return (*dict.fromkeys((*_ERRORS.get(call, _OTHER), *more)), KILL)


def strike(
    point: Point,
    log: Path,
    command: Sequence[str],
    standard_input: bytes,
    environ: Mapping[str, str],
    person: Person,
    timeout_s: float,
    *,
    cwd: str = "/",
) -> Struck:
    """Run COMMAND with one fault."""
    # With seccomp the other calls do not stop at strace; but strace 6.1 sends no signal then.
    options = [*(["--seccomp-bpf"] if point.what != KILL else []), *_injecting(point)]
    answer = trace(log, options, command, standard_input, environ, person, timeout_s, cwd=cwd)
    text = log.read_text(errors="replace")
    mark = "+++ killed by SIGKILL" if point.what == KILL else "(INJECTED)"
    return Struck(answer, fired(point, text), _before(text, mark))


def fired(point: Point, trace_text: str) -> int:
    """How often the fault at POINT happened in the run of TRACE_TEXT."""
    if point.what == KILL:
        return len(_KILLED.findall(trace_text))
    return trace_text.count("(INJECTED)")


def _injecting(point: Point) -> list[str]:
    how = "signal=SIGKILL" if point.what == KILL else f"error={point.what}"
    return ["-e", f"trace={point.call}", "-e", f"inject={point.call}:{how}:when={point.nth}"]


@contextmanager
def looking_on(pid: int, log: Path, point: Point | None = None) -> Iterator[None]:
    """Trace the process PID, and what it forks from now on, to LOG; with one fault, if POINT says.

    Calls are counted from here on, in a child from its birth.
    """
    options = _injecting(point) if point is not None else ["-s", "96"]
    command = ["/usr/bin/strace", "-f", "-qq", "-o", str(log), *options, "-p", str(pid)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
        try:
            wait_for(lambda: _is_traced(pid) or strace.poll() is not None, "strace to look on")
            yield
        finally:
            strace.terminate()
            strace.communicate()


def _is_traced(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True  # it has gone
    return "\nTracerPid:\t0\n" not in status


def _before(text: str, mark: str) -> str:
    """The line with MARK, and for a kill the call before it."""
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if mark in line:
            return lines[index - 1] if mark.startswith("+++") and index else line
    return ""
