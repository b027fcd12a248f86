"""The edge of the process: in delivery mode nothing leaves but 0, 75 or an intended rejection.

Guarantee   whatever is raised, by whatever module, ends here as one line "D.S.N text" and a status
            that makes Postfix keep the message. Exit is by os._exit: Python's own farewell, which
            flushes files and may end with 120, is not taken.
Launched    by mdeliver-lda (`fused`): success is AGENT_DONE, which no accident produces, and the
            line is a report behind a NUL, which no stray output contains.
Imports     as little as can be before the first `try`.
See also    launcher/lda.c, whose statuses are the same; sysexits.h
"""

from __future__ import annotations

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

AGENT_DONE = 40
"""What the agent tells the launcher instead of 0: every message is in all its places."""

_EX_TEMPFAIL = 75


def fused(arguments: list[str]) -> NoReturn:
    """Deliver for the launcher; ARGUMENTS begin with "deliver"."""
    status, line = _deliver(arguments[1:])
    if status == 0:
        posix._exit(AGENT_DONE)
    _leave(status, b"\0" + line)


def main() -> None:
    """The command `mdeliver`."""
    arguments = sys.argv[1:]
    if arguments[:1] == ["deliver"] and not {"-h", "--help"}.intersection(arguments):
        _leave(*_deliver(arguments[1:]))
    from mdeliver.cli import main as command_line
    from mdeliver.cli.output import watched

    with watched():
        command_line()


def _deliver(arguments: list[str]) -> tuple[int, bytes]:
    """Exit status, and the line to print (empty where it is 0)."""
    try:
        for descriptor in (0, 1, 2):
            _check_open(descriptor)
        from mdeliver.agent import deliver
        from mdeliver.system import environment

        outcome = deliver(arguments, environment())
        status = outcome.exit_status
        return status, outcome.line.encode("utf-8", "backslashreplace") + b"\n" if status else b""
    except BaseException as error:
        words = f"4.3.0 mdeliver: {type(error).__name__}: {error}".splitlines()[0]
        return _EX_TEMPFAIL, words.encode("utf-8", "backslashreplace") + b"\n"


def _check_open(descriptor: int) -> None:
    """A closed 1 or 2 becomes /dev/null: else a mailbox got that number, and our line went into it.

    A closed 0 is an error: /dev/null in its place would be delivered as an empty message.
    """
    try:
        posix.fstat(descriptor)
    except OSError:
        if descriptor == 0:
            raise OSError("standard input is closed") from None
        posix.open("/dev/null", posix.O_RDWR)


def _leave(status: int, line: bytes) -> NoReturn:
    """Print LINE and end; a closed or full output changes nothing."""
    try:
        if line:
            posix.write(1, line)
    finally:
        posix._exit(status)


if __name__ == "__main__":
    main()
