"""What a process of the server does first when it has been forked.

Signals      those that stop the server do nothing: the end of a channel says when to stop
Descriptors  all are closed but its own and 0 to 2: else it would keep open the ends of others, and
             none of them would ever see that the other side has gone
Fails with   OSError, which ends the child: master.py reports it
See also     master.py, fork(2)
"""

from __future__ import annotations

import _signal
import os

STOPPING = (_signal.SIGTERM, _signal.SIGINT)


def begin_child(keep: list[int]) -> None:
    """Put signals right, and close every descriptor but 0 to 2 and those in KEEP."""
    # `signal` makes members of enums of all this: each function it calls there is a page that
    # the child then has for itself.
    _signal.set_wakeup_fd(-1)
    for number in (*STOPPING, _signal.SIGHUP):
        # A handler, since ignoring would be inherited by the programs that rules run.
        _signal.signal(number, lambda _number, _frame: None)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    wanted = sorted({0, 1, 2, *keep})
    for low, high in zip(wanted, [*wanted[1:], os.sysconf("SC_OPEN_MAX")], strict=True):
        os.closerange(low + 1, high)
