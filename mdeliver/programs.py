"""Run a program that rules name, with the message on its standard input.

Argv        a list, never a shell. The name is absolute, begins with ~/, or is looked up in PATH
            below; what a message brings into an argument stays within that one argument.
Input       a file without a name, at its beginning: whether the program reads or not, nobody waits.
Output      standard output where it is wanted, else /dev/null; of standard error the first line.
Runs in     home, umask 077, a process group of its own, signals as they are by default, no core
            file, no descriptor but 0, 1 and 2, and the environment of `environment_of`.
Ends        by itself, or after limits.PROGRAM_S by SIGTERM and then SIGKILL to its whole group.
Fails with  OSError: something here is missing (memory, processes, disk). What is wrong with the
            program itself is told in Ended.
See also    attendance.py, deliver/outside.py, deliver/pipe.py; local(8) on what it exports
"""

from __future__ import annotations

import errno

from mdeliver import durable, limits, system
from mdeliver.attendance import attend
from mdeliver.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import NoReturn

    from mdeliver.envelope import Envelope

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Where programs without a slash in their name are looked up; nobody but root writes there."""

NOT_FOUND, _NOT_RUN = 127, 126
"""What a shell says of a program that is not there, or cannot be run."""

_LATER = (75, _NOT_RUN, NOT_FOUND)
"""Exit statuses that may be others on a later try: EX_TEMPFAIL (sysexits.h), and not installed."""

_HARMLESS = frozenset("1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
"""postconf(5), command_expansion_filter: what senders and clients chose has no other characters."""

_RELEASED = -1

_FEW_DESCRIPTORS = 1024
"""What most processes may have open."""


class Ended(Record):
    """How a program ended.

    status  its exit status; None where it did not end by itself
    how     the same in words, such as "exit status 1" or "killed by signal 9"
    said    the first line that it wrote on standard error, else ""
    """

    status: int | None
    how: str
    said: str = ""

    @property
    def knows_later(self) -> bool:
        """Whether it gave no answer, and a later try may bring one."""
        return self.status is None or self.status in _LATER

    @property
    def words(self) -> str:
        """How it ended, and what it said."""
        return f"{self.how}: {self.said}" if self.said else self.how


class Nameless:
    """Octets in a file without a name: in memory while they are few, else in a directory."""

    def __init__(self, directory: str | None) -> None:
        """DIRECTORY is None where there is none, and all goes into memory."""
        self._directory = directory
        self.size = 0
        self.fd = system.memfd_create("mdeliver")

    def write(self, octets: bytes) -> None:
        """Add OCTETS."""
        if self.size <= limits.MEMORY_BYTES < self.size + len(octets) and self._directory:
            in_memory, self.fd = self.fd, durable.create_nameless(self._directory)
            try:
                for piece in durable.read_chunks(in_memory, self.size, limits.COPY_BYTES):
                    durable.write_all(self.fd, piece)
            finally:
                durable.close_read(in_memory)
        durable.write_all(self.fd, octets)
        self.size += len(octets)

    def release(self) -> int:
        """Its descriptor, which is the caller's from now on."""
        fd, self.fd = self.fd, _RELEASED
        return fd

    def close(self) -> None:
        """Let go of it, unless it was released."""
        if self.fd != _RELEASED:
            durable.close_read(self.fd)


def run_program(
    argv: tuple[str, ...],
    message: Iterable[bytes],
    envelope: Envelope,
    spool_directory: str | None,
    take: Callable[[bytes], bool] | None = None,
    limit_s: float | None = None,
) -> Ended:
    """Run ARGV with MESSAGE on its standard input, and wait for its end.

    spool_directory  where a message too large for memory goes meanwhile; None: into memory
    take             gets its standard output, piece by piece; False ends it
    limit_s          how long it may run, if that is less than limits.PROGRAM_S
    Raises OSError where it could not be tried.
    """
    path = _find(argv[0], envelope.home)
    if path is None:
        return Ended(NOT_FOUND, f"not found in {PATH}")
    said = _FirstLine()
    given = Nameless(spool_directory)
    opened = [given.fd]
    try:
        for chunk in message:
            given.write(chunk)
            opened[0] = given.fd
        system.lseek(given.fd, 0, system.SEEK_SET)
        stderr, writes_stderr = system.pipe2(system.O_CLOEXEC)
        opened += stderr, writes_stderr
        readers: dict[int, Callable[[bytes], bool]] = {stderr: said.take}
        if take is None:
            writes_stdout = system.open("/dev/null", system.O_WRONLY | system.O_CLOEXEC)
        else:
            stdout, writes_stdout = system.pipe2(system.O_CLOEXEC)
            opened.append(stdout)
            readers[stdout] = take
        opened.append(writes_stdout)
        child = _start(path, argv, envelope, given.fd, writes_stdout, writes_stderr)
        for fd in (writes_stdout, writes_stderr):
            # Else its end could not be seen.
            opened.remove(fd)
            durable.close_read(fd)
        status = attend(child, readers, min(limits.PROGRAM_S, limit_s or limits.PROGRAM_S))
    finally:
        for fd in opened:
            durable.close_read(fd)
    if isinstance(status, str):
        return Ended(None, status, said.text)
    if status < 0:
        return Ended(None, f"killed by signal {-status}", said.text)
    return Ended(status, f"exit status {status}", said.text)


def environment_of(envelope: Envelope) -> dict[str, str]:
    """What a program finds in its environment: what local(8) exports, and nothing inherited but TZ.

    What is not known is not set; the null sender is SENDER="". What comes from outside has only
    the characters that local(8) lets through, others become `_`.
    """
    e = envelope
    found = {
        "HOME": e.home,
        "USER": e.user,
        "LOGNAME": e.user,
        "SHELL": "/bin/sh",
        "PATH": PATH,
        "LANG": "C.UTF-8",
        "SENDER": _harmless(e.sender),
    }
    for name, value in (
        ("RECIPIENT", e.recipient),
        ("ORIGINAL_RECIPIENT", e.original_recipient),
        ("EXTENSION", e.extension),
        ("DOMAIN", e.domain),
        ("LOCAL", e.recipient.rpartition("@")[0] or e.recipient),
        ("CLIENT_ADDRESS", e.client_address),
        ("CLIENT_HOSTNAME", e.client_hostname),
        ("CLIENT_HELO", e.client_helo),
        ("CLIENT_PROTOCOL", e.client_protocol),
        ("SASL_USERNAME", e.sasl_username),
        ("SASL_METHOD", e.sasl_method),
    ):
        if value:
            found[name] = _harmless(_without(value, e.sent_tag.tag))
    zone = system.environment().get("TZ")
    return found | {"TZ": zone} if zone else found


def _without(text: str, secret: str) -> str:
    """TEXT without SECRET: the tag of a Sent address is nothing that a program should store."""
    at = text.lower().find(secret.lower()) if secret else -1
    return text if at < 0 else _without(text[:at] + text[at + len(secret) :], secret)


def _harmless(text: str) -> str:
    return "".join([c if c in _HARMLESS else "_" for c in text])


class _FirstLine:
    """The first line of what comes; the rest is dropped, so that nobody waits to write it."""

    def __init__(self) -> None:
        self._octets = b""

    def take(self, octets: bytes) -> bool:
        room = limits.PROGRAM_WORDS_BYTES - len(self._octets)
        self._octets += octets[: max(0, room)]
        return True

    @property
    def text(self) -> str:
        lines = self._octets.decode("utf-8", "replace").strip().splitlines()
        return lines[0].strip()[: limits.PROGRAM_WORDS] if lines else ""


def _find(name: str, home: str) -> str | None:
    """The file that NAME means; None if PATH has none."""
    if name.startswith("~/"):
        return home + name[1:]
    if "/" in name:
        return name
    for directory in PATH.split(":"):
        path = system.join(directory, name)
        try:
            if system.access(path, system.X_OK) and system.is_regular(system.stat(path)):
                return path
        except FileNotFoundError:
            continue
    return None


def argument(word: str) -> str:
    """WORD as a program can get it: without NUL, and not too long for the kernel."""
    try:
        octets = system.to_octets(word)
    except UnicodeEncodeError:
        octets = word.encode("utf-8", "replace")
    return system.from_octets(octets.replace(b"\0", b"")[: limits.ARGUMENT_BYTES])


def _start(
    path: str, argv: tuple[str, ...], envelope: Envelope, stdin: int, stdout: int, stderr: int
) -> int:
    """Begin the program in a child of ours; its process id."""
    import resource

    arguments = [system.to_octets(argument(word)) for word in argv]
    environ = {
        name.encode(): system.to_octets(value).replace(b"\0", b"")
        for name, value in environment_of(envelope).items()
    }
    child = system.fork()
    if child == 0:
        try:
            for number, fd in enumerate((stdin, stdout, stderr)):
                system.dup2(fd, number)
            _close_others()
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _become(path, arguments, environ, envelope.home)
        except BaseException:
            pass
        finally:
            system._exit(_NOT_RUN)
    try:
        # The child does so too: whoever comes first, it is done before anybody signals the group.
        system.setpgid(child, child)
    except OSError:
        pass
    return child


def _close_others() -> None:
    """Close what we inherited ourselves; what we opened closes itself (O_CLOEXEC).

    closerange() alone may be a million calls, where a container's kernel has no close_range(2).
    """
    names = durable.names_in("/proc/self/fd")
    if not names:
        system.closerange(3, _FEW_DESCRIPTORS)
    for name in names:
        if int(name) > 2:
            durable.close_read(int(name))


def _become(path: str, arguments: list[bytes], environ: dict[bytes, bytes], home: str) -> NoReturn:
    """The program, in the child; never comes back."""
    import _signal

    system.setpgid(0, 0)
    for signal in _signal.valid_signals():
        if _signal.getsignal(signal) == _signal.SIG_IGN:
            _signal.signal(signal, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    what = home
    try:
        system.chdir(home)
        what = path
        system.execve(path, arguments, environ)
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        reason = system.strerror(error.errno or 0)
        if missing and system.exists(what):
            reason = "the program that its first line names does not exist"
        elif error.errno == errno.ENOEXEC:
            reason = "it is no program, and its first line names none (#!/bin/sh)"
        durable.write_all(2, f"{what}: {reason}\n".encode("utf-8", "replace"))
        system._exit(NOT_FOUND if missing else _NOT_RUN)
