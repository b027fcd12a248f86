"""The mail group, lent for what a user may not do alone in a spool directory such as /var/mail.

Lent      by the LMTP server to its workers, as saved group id and nothing else: a program that a
          worker starts has lost it, and no file is ever made with it but those named here
For       making the user's own mbox, making and removing its lock file: files whose name is the
          user's login name, with or without `.lock`. Rules cannot get at another user's by it.
Not lent  (launchers, mdeliver deliver): nothing is tried
See also  lmtp/identity.py; credentials(7); Dovecot's mail_privileged_group
"""

from __future__ import annotations

from mdeliver import system

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    Taken = ParamSpec("Taken")
    Result = TypeVar("Result")


def is_lent_for(mbox: str) -> bool:
    """Whether the group may be borrowed for the mailbox at the path MBOX."""
    _, effective, saved = system.getresgid()
    if saved == effective:
        return False
    import pwd

    try:
        login = pwd.getpwuid(system.geteuid()).pw_name
    except KeyError:
        return False
    directory = system.stat(system.dirname(mbox))
    return mbox.rpartition("/")[2] == login and directory.st_gid == saved


def borrowing(
    step: Callable[Taken, Result], *arguments: Taken.args, **named: Taken.kwargs
) -> Result:
    """STEP, done with the lent group."""
    _, own, lent = system.getresgid()
    system.setegid(lent)
    try:
        return step(*arguments, **named)
    finally:
        system.setegid(own)
