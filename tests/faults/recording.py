"""What a program does to the files below one directory, as strace sees it: a list of Ops.

Whatever language it is written in, and whatever library writes (SQLite's too). What is not
modelled and could change a file is an error, not a gap.

See also  disk.py, which says what a power cut may leave of it
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PROMISE = b"promise "
"""What a deed writes, followed by a name, once it has said that something is done."""

_CALLS = (
    "openat,open,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,"
    "copy_file_range,sendfile,splice,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,"
    "link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,lseek,msync,sendto,sendmsg,"
    "chmod,fchmod,fchmodat"
)
_OPEN = r"<((?:[^<>]|<[^<>]*>)*)>(\(deleted\))?"
_LINE = re.compile(rf"^(\d+) +(\w+)\((.*)\) += (-?\d+)(?:{_OPEN})?(?: .*)?$", re.DOTALL)
_UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$", re.DOTALL)
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$", re.DOTALL)
_ARGUMENT = re.compile(rf' *(?:"((?:\\x[0-9a-f]{{2}})*)"|(\w+){_OPEN}|([^, ][^,]*))')
_HEX = re.compile(r"(?:\\x[0-9a-f]{2})+")


class Op(NamedTuple):
    """One change, sync or promise.

    kind    write, size, sync, add, remove, rename, promise
    file    which file or directory: its number, see Recording
    offset, octets  of a write; size: offset alone
    names   add, remove: ((directory, name),); rename: the old and the new
    """

    kind: str
    file: int = 0
    offset: int = 0
    octets: bytes = b""
    names: tuple[tuple[int, str], ...] = ()
    directory: bool = False


class Recording:
    """A program's Ops below TOP.

    files and directories have numbers; 0 is TOP itself
    entries   the tree at the start: number by (directory, name)
    contents  what each file held then; None for a directory
    modes     permissions of each, as they are at the end
    """

    def __init__(self, top: Path) -> None:
        self.top = str(top)
        self.ops: list[Op] = []
        self.entries: dict[tuple[int, str], int] = {}
        self.contents: dict[int, bytes | None] = {0: None}
        self.modes: dict[int, int] = {0: 0o700}
        self._now: dict[tuple[int, str], int] = {}
        self._sizes: dict[int, int] = {}
        self._nameless: dict[str, int] = {}
        self._opened: dict[tuple[str, int], tuple[int, bool, int]] = {}
        self._number = 0
        self._read_tree(top, 0)
        self._now = dict(self.entries)

    def _read_tree(self, directory: Path, number: int) -> None:
        for path in sorted(directory.iterdir()):
            self._number += 1
            mine = self.entries[number, path.name] = self._number
            self.contents[mine] = None if path.is_dir() else path.read_bytes()
            self._sizes[mine] = 0 if path.is_dir() else path.stat().st_size
            self.modes[mine] = path.stat().st_mode & 0o7777
            if path.is_dir():
                self._read_tree(path, mine)

    def record(self, command: Sequence[str]) -> int:
        """Run COMMAND, and note what it does; its exit status."""
        log = Path(self.top + ".strace")
        traced = ["/usr/bin/strace", "-f", "-qq", "-y", "-xx", "-s", "16777216", "-o", str(log)]
        traced += ["-e", f"trace={_CALLS}", "--", *command]
        done = subprocess.run(traced, stdout=subprocess.PIPE, check=False, timeout=300)
        text = log.read_text(errors="surrogateescape")
        log.unlink()
        self.take(text)
        return int(done.returncode)

    def take(self, trace: str) -> None:
        """Take over what strace wrote."""
        begun: dict[str, str] = {}
        for line in trace.splitlines():
            if found := _UNFINISHED.match(line):
                begun[found[1]] = found[2]
                continue
            if found := _RESUMED.match(line):
                line = f"{found[1]} {begun.pop(found[1])}{found[2]}"
            found = _LINE.match(line)
            if found is not None and int(found[4]) >= 0:
                pid, call, arguments, result, path, gone = found.groups()
                opened = _named(path or "", gone or "")
                self._call(pid, call, _parsed(arguments), int(result), opened)

    # --- names -------------------------------------------------------------------------------

    def _below(self, path: str) -> tuple[int, str] | None:
        """Directory and name of PATH, if it is below the top."""
        if not path.startswith(self.top + "/"):
            return None
        *steps, name = [step for step in path[len(self.top) :].split("/") if step]
        directory = 0
        for step in steps:
            directory = self._now[directory, step]
        return directory, name

    def _file(self, path: str) -> int | None:
        """The number of what PATH names, or strace says is open."""
        if path == self.top:
            return 0
        if path.endswith("(deleted)") and path.startswith(self.top + "/"):
            return self._nameless.get(path)
        at = self._below(path)
        return self._now.get(at) if at is not None else None

    def _name_of(self, file: int) -> str:
        """A path that `_file` knows it by; where it has two names, any of them."""
        for path, number in self._nameless.items():
            if number == file:
                return path
        directory, name = next(at for at, number in self._now.items() if number == file)
        return f"{self._name_of(directory) if directory else self.top}/{name}"

    def _new(self, directory: bool, mode: str = "") -> int:
        self._number += 1
        masked = int(mode, 8) & 0o7700 if mode else 0o600
        self.modes[self._number] = 0o700 if directory else masked
        self.contents[self._number] = None if directory else b""
        self._sizes[self._number] = 0
        return self._number

    # --- calls -------------------------------------------------------------------------------

    def _call(self, pid: str, call: str, arguments: list[object], result: int, path: str) -> None:
        words = [a for a in arguments if isinstance(a, str)]
        file = self._file(_path(arguments[0])) if arguments else None
        match call:
            case "open" | "openat" | "creat":
                self._open(pid, arguments, result, path, call)
            case "write" | "pwrite64" | "writev" | "sendto" | "sendmsg":
                self._write(pid, call, arguments, result)
            case "lseek":
                fd = _fd(arguments[0])
                if (pid, fd) in self._opened:
                    self._opened[pid, fd] = (*self._opened[pid, fd][:2], result)
            case "ftruncate":
                self._resize(file, int(words[-1]))
            case "fsync" | "fdatasync":
                if file is not None:
                    self.ops.append(Op("sync", file))
            case "fchmod":
                if file is not None:
                    self.modes[file] = int(words[-1], 8)
            case "sync_file_range" | "msync" | "splice" | "copy_file_range" | "sendfile":
                assert file is None, f"{call} is not modelled"
            case _:
                self._names(pid, call, arguments)

    def _open(self, pid: str, arguments: list[object], result: int, path: str, call: str) -> None:
        flags = " ".join(a for a in arguments if isinstance(a, str) and "O_" in a)
        # By the umask of a delivery.
        mode = next((a for a in arguments if isinstance(a, str) and a.startswith("0")), "")
        if not path.startswith(self.top + "/"):
            self._opened.pop((pid, result), None)
            return
        if "O_TMPFILE" in flags:
            file = self._nameless[path] = self._new(False, mode)
        else:
            at = self._below(path)
            assert at is not None
            if at not in self._now:
                assert "O_CREAT" in flags, path
                self._now[at] = self._new(False, mode)
                self.ops.append(Op("add", self._now[at], names=(at,)))
            file = self._now[at]
            if "O_TRUNC" in flags:
                self._resize(file, 0)
        self._opened[pid, result] = file, "O_APPEND" in flags, 0

    def _write(self, pid: str, call: str, arguments: list[object], result: int) -> None:
        octets = b"".join(a for a in arguments if isinstance(a, bytes))[:result]
        fd, file = _fd(arguments[0]), self._file(_path(arguments[0]))
        if file is None:
            if octets.startswith(PROMISE):
                for name in octets.split(PROMISE)[1:]:
                    self.ops.append(Op("promise", octets=name.strip()))
            return
        assert call in ("write", "pwrite64"), f"{call} to a file is not modelled"
        _, append, position = self._opened[pid, fd]
        if call == "pwrite64":
            offset = int([a for a in arguments if isinstance(a, str)][-1])
        else:
            offset = self._sizes[file] if append else position
            self._opened[pid, fd] = file, append, offset + result
        self._sizes[file] = max(self._sizes[file], offset + len(octets))
        self.ops.append(Op("write", file, offset, octets))

    def _resize(self, file: int | None, size: int) -> None:
        if file is not None and self._sizes[file] != size:
            self._sizes[file] = size
            self.ops.append(Op("size", file, size))

    def _names(self, pid: str, call: str, arguments: list[object]) -> None:
        paths = self._paths(pid, arguments)
        ats = [self._below(path) for path in paths if path.startswith(self.top + "/")]
        if not any(ats):
            return
        match call, ats:
            case ("mkdir" | "mkdirat", [at]) if at is not None:
                self._now[at] = self._new(True)
                self.ops.append(Op("add", self._now[at], names=(at,), directory=True))
            case ("unlink" | "unlinkat" | "rmdir", [at]) if at is not None:
                self.ops.append(Op("remove", self._now.pop(at), names=(at,)))
            case ("rename" | "renameat" | "renameat2", [old, new]) if old and new:
                file = self._now[new] = self._now.pop(old)
                self.ops.append(Op("rename", file, names=(old, new)))
            case ("chmod" | "fchmodat", [at]) if at is not None:
                words = [a for a in arguments if isinstance(a, str) and a.startswith("0")]
                self.modes[self._now[at]] = int(words[0], 8)
            case ("link" | "linkat", _) if ats[-1] is not None:
                found = self._file(paths[0])
                assert found is not None, paths
                self._now[ats[-1]] = found
                self.ops.append(Op("add", found, names=(ats[-1],)))
            case _:
                raise AssertionError(f"{call} {paths} is not modelled")

    def _paths(self, pid: str, arguments: list[object]) -> list[str]:
        """The paths among ARGUMENTS, those relative to a descriptor made whole."""
        paths: list[str] = []
        base = ""
        for argument in arguments:
            if isinstance(argument, tuple):
                base = argument[1]
            elif isinstance(argument, bytes):
                path = argument.decode("utf-8", "surrogateescape")
                if path.startswith("/proc/self/fd/"):
                    path = self._name_of(self._opened[pid, int(path.rpartition("/")[2])][0])
                paths.append(path if path.startswith("/") else f"{base}/{path}")
        return paths


def _parsed(arguments: str) -> list[object]:
    """Octets of strings, (descriptor, path) of descriptors, the rest as text."""
    parsed: list[object] = []
    for octets, fd, path, gone, other in _ARGUMENT.findall(arguments):
        if fd:
            parsed.append((int(fd) if fd.isdigit() else -1, _named(path, gone)))
        elif other.strip():
            parsed.append(other.strip())
        else:
            parsed.append(_octets(octets))
    return parsed


def _named(path: str, gone: str) -> str:
    """A path as strace shows what is open: all hexadecimal, and whether its name is gone."""
    if _HEX.fullmatch(path):
        path = _octets(path).decode("utf-8", "surrogateescape")
    return path + gone


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _fd(argument: object) -> int:
    return argument[0] if isinstance(argument, tuple) else -1


def _path(argument: object) -> str:
    return argument[1] if isinstance(argument, tuple) else ""


def recorded(top: Path, subject: str, attempt: int = 0) -> Recording:
    """What the deed of SUBJECT (subjects.py) does, whose home TOP has been prepared."""
    recording = Recording(top)
    command = [sys.executable, "-m", "tests.faults.act", subject, str(top), str(attempt)]
    status = recording.record(command)
    assert status == 0, f"{subject} ended with {status}"
    return recording
