"""Fault injection in process: fail, or die at, the n-th system call of a deed.

Every module of mdeliver reaches the kernel through the names `system` and `fcntl`; in a forked
child these are replaced by stand-ins that count the calls, also for modules that are imported
later. `disturbed` does a deed with one fault; what deeds there are says subjects.py.

See also    inject.py, which does the same from outside with strace, interpreter and fuse included
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Any, Literal, NamedTuple

import mdeliver
from mdeliver import system
from mdeliver.agent import DeadlinePassed
from mdeliver.outcome import Deferral

DONE, FAILED, BROKEN, KILLED = 10, 11, 12, 9

Kind = Literal[
    "kill before", "kill after", "alarm before", "alarm after",
    "ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "EINTR", "ENOMEM", "ESTALE",
    "done, EIO", "done, EEXIST", "done, ENOENT",
]  # fmt: skip
"""What may happen at a call. After EINTR Python's own calls try again (PEP 475); here it comes
through. What really interrupts a delivery is its alarm. `done, ERROR`: it was done, and the answer
is an error, as where an NFS server's answer is lost and the request is sent again."""

KINDS: tuple[Kind, ...] = (
    "kill before", "kill after",
    "ENOSPC", "EIO", "EDQUOT", "EMFILE", "ENOLCK", "EINTR", "ENOMEM",
)  # fmt: skip

# Not system calls, or calls that cannot fail in a way the caller could see.
_PURE = {
    "path",
    "fsencode",
    "fsdecode",
    "getpid",
    "geteuid",
    "urandom",
    "uname",
    "environ",
    "umask",
    "_exit",
    "strerror",
    "waitstatus_to_exitcode",
    "to_octets",
    "from_octets",
    "join",
    "dirname",
    "normal",
    "is_regular",
    "same",
    "environment",
}


class Fault(NamedTuple):
    """What happens at call number NUMBER (from 0) of a deed."""

    number: int
    kind: Kind


class Counted:
    """Stands for a module: counts the calls of its functions and commits the fault."""

    def __init__(self, module: ModuleType, calls: list[str], fault: Fault | None) -> None:
        self._module = module
        self._calls = calls
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        thing = getattr(self._module, name)
        if name in _PURE or not callable(thing) or isinstance(thing, type):
            return thing

        def call(*arguments: Any, **named: Any) -> Any:
            number = len(self._calls)
            self._calls.append(name)
            if self._fault is None or self._fault.number != number:
                return thing(*arguments, **named)
            return self._commit(name, thing, arguments, named)

        return call

    def _commit(
        self, name: str, thing: Callable[..., Any], arguments: tuple[Any, ...], named: Any
    ) -> Any:
        assert self._fault is not None
        kind = self._fault.kind
        if kind == "kill after":
            self._half(name, thing, arguments, named)
            os._exit(KILLED)
        if kind == "kill before":
            os._exit(KILLED)
        if kind == "alarm before":
            raise DeadlinePassed
        if kind == "alarm after":
            thing(*arguments, **named)
            raise DeadlinePassed
        if kind.startswith("done, "):
            thing(*arguments, **named)
        raise OSError(getattr(errno, kind.removeprefix("done, ")), f"injected at {name}")

    @staticmethod
    def _half(name: str, thing: Callable[..., Any], arguments: tuple[Any, ...], named: Any) -> None:
        """A killed write may have written a part; every other call is whole or not at all."""
        if name == "write" and len(arguments[1]) > 1:
            thing(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
        else:
            thing(*arguments, **named)


def count_calls(calls: list[str], fault: Fault | None) -> None:
    """From now on this process counts its calls into CALLS, and suffers FAULT at one of them."""
    stand_ins = {"system": Counted(system, calls, fault), "fcntl": Counted(fcntl, calls, fault)}
    wanted = {"system": system, "fcntl": fcntl}
    for of, module in list(sys.modules.items()):
        if of.startswith("mdeliver."):
            for name, real in wanted.items():
                if getattr(module, name, None) is real:
                    setattr(module, name, stand_ins[name])
    # Whoever imports them from now on.
    mdeliver.system = stand_ins["system"]  # type: ignore[assignment]  # no module, on purpose
    sys.modules["fcntl"] = stand_ins["fcntl"]  # type: ignore[assignment]  # likewise


def disturbed(deed: Callable[[], object], fault: Fault | None = None) -> tuple[int, list[str]]:
    """Do DEED in a child of ours, with one fault; how it ended, and the system calls it made.

    The end is DONE, FAILED (OSError, Deferral, or out of time), KILLED or BROKEN; of a child that
    was killed no calls are known.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _be_disturbed(deed, fault, writing)
    os.close(writing)
    with open(reading, "rb") as pipe:
        calls = pipe.read().decode().split()
    _, wait_status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(wait_status), calls


def _be_disturbed(deed: Callable[[], object], fault: Fault | None, report: int) -> None:
    own = os.getpid()
    calls: list[str] = []
    status = BROKEN
    try:
        count_calls(calls, fault)
        deed()
        status = DONE
    except (OSError, Deferral, DeadlinePassed):
        status = FAILED
    except KeyboardInterrupt:
        pass  # whoever runs all this has had enough
    except BaseException:
        traceback.print_exc()
    finally:
        # A child of ours that came here has gone on as if it were we.
        if os.getpid() == own:
            os.write(report, " ".join(calls).encode())
        os._exit(status)
